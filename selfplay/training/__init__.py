"""Training rows or pairs in, weights out, through TRL. `run.train` is the entry, `methods` has one file for each training method.

Importing `run`, `logger` or anything in `trl` loads torch, transformers and TRL; everything else imports without them.
"""
