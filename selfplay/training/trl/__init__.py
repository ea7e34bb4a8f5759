"""The code that talks to TRL's trainers. Importing any file here loads torch, transformers and TRL."""
