"""What we override of TRL's and transformers' trainers: names without a promise. It fails where a new release has changed them.

After an upgrade read each one that is named in its new source, see that the override still does what its docstring says, and then
change the pin in pyproject.toml and the digests here.
"""

import hashlib
import inspect
from typing import Any

import pytest

from selfplay.training.trl.kto_trainer import SideTrainer
from selfplay.training.trl.preference_trainer import OnTokenIds
from selfplay.training.trl.sft_trainer import RowTrainer
from selfplay.training.trl.sharding import Sharded
from selfplay.training.trl.trainer import DPOTrainer, KTOTrainer, SFTTrainer

OVERRIDDEN: dict[tuple[Any, Any], tuple[str, ...]] = {
    (RowTrainer, SFTTrainer): ("compute_loss", "floating_point_ops", "_get_num_items_in_batch", "_save_checkpoint"),
    (Sharded, SFTTrainer): (
        "_save",
        "_save_optimizer_and_scheduler",
        "_load_optimizer_and_scheduler",
        "_load_from_checkpoint",
        "_defer_fsdp_gradient_reduction",
    ),
    (OnTokenIds, DPOTrainer): ("_prepare_dataset", "_precompute_ref_logps", "floating_point_ops", "create_model_card"),
    (SideTrainer, KTOTrainer): ("_compute_kl_logps", "_compute_loss", "log"),
}
"""(our class, TRL's) -> what ours overrides."""
PARAMETERS = {
    "compute_loss": "self model inputs return_outputs num_items_in_batch",
    "floating_point_ops": "self inputs",
    "log": "self logs start_time",
    "create_model_card": "self model_name dataset_name tags",
    "_get_num_items_in_batch": "self batch_samples device",
    "_save_checkpoint": "self model trial",
    "_save": "self output_dir state_dict",
    "_save_optimizer_and_scheduler": "self output_dir",
    "_load_optimizer_and_scheduler": "self checkpoint",
    "_load_from_checkpoint": "self resume_from_checkpoint model",
    "_defer_fsdp_gradient_reduction": "self",
    "_prepare_dataset": "self dataset processing_class args dataset_name",
    "_precompute_ref_logps": "self dataset name batch_size",
    "_compute_kl_logps": "self model batch",
    "_compute_loss": "self model inputs return_outputs",
}
OF_TRL = {
    "DPOTrainer._precompute_ref_logps": "f2c098c7da6c",
    "DPOTrainer._prepare_dataset": "35e349e8e826",
    "DPOTrainer.create_model_card": "4f8a407fd9fd",
    "KTOTrainer._compute_kl_logps": "ebc903a2f9f7",
    "KTOTrainer._compute_loss": "70e5262bf7b4",
    "KTOTrainer.log": "e80e122cfe5f",
    "SFTTrainer.__init__": "90b61e42b690",
    "SFTTrainer._save_checkpoint": "b6ee0a370c26",
    "SFTTrainer.compute_loss": "ca448211ff65",
}
"""Digests of the source of what is TRL's own, in TRL 1.16."""


@pytest.mark.parametrize(("ours", "theirs"), OVERRIDDEN, ids=lambda kind: kind.__name__)
def test_every_method_that_is_overridden_is_there_with_the_parameters_that_the_override_takes(
    ours: Any, theirs: Any
) -> None:
    own = {name for name in vars(ours) if inspect.isfunction(vars(ours)[name]) and name != "__init__"}
    assert own == set(OVERRIDDEN[ours, theirs]), "name what is overridden"
    for name in own:
        assert hasattr(theirs, name), f"{theirs.__name__}.{name} is gone: our override does nothing"
        assert " ".join(inspect.signature(getattr(theirs, name)).parameters) == PARAMETERS[name], name


def test_what_is_overridden_of_trl_reads_as_when_the_override_was_written() -> None:
    """And `SFTTrainer.__init__`, which does things to a model that `adapter_in_fp32` undoes."""
    named = {(theirs, name) for (_, theirs), names in OVERRIDDEN.items() for name in names}
    found = {
        f"{theirs.__name__}.{name}": hashlib.sha256(inspect.getsource(getattr(theirs, name)).encode()).hexdigest()[:12]
        for theirs, name in {*named, (SFTTrainer, "__init__")}
        if getattr(theirs, name).__module__.startswith("trl.")
    }
    assert found == OF_TRL, "TRL has changed these methods: read them, then correct the digests"
