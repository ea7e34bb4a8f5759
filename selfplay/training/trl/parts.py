"""All that is taken from TRL, and the data set class that its trainers want. The only file that imports TRL."""

from datasets import Dataset as Dataset
from trl.trainer.dpo_config import DPOConfig as DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference as DataCollatorForPreference
from trl.trainer.dpo_trainer import DPOTrainer as DPOTrainer
from trl.trainer.kto_config import KTOConfig as KTOConfig
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference as DataCollatorForUnpairedPreference
from trl.trainer.kto_trainer import KTOTrainer as KTOTrainer
from trl.trainer.sft_config import SFTConfig as SFTConfig
from trl.trainer.sft_trainer import SFTTrainer as SFTTrainer
