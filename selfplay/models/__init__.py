"""Engines. One small protocol serves student, teacher and judge; each engine is a file or folder of its own.

`transformers` runs a model in this process, `openai` talks to any OpenAI-compatible server, `recorded` plays a file, `scripted`
answers by a function. `base` has what they share; `student` is the model that is trained, in whichever engine.
"""

from selfplay.models.base import Backend as Backend
from selfplay.models.base import PromptBatch as PromptBatch
