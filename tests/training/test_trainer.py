"""The bar of a training says what is trained and how far it is."""

from __future__ import annotations

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from mixvision.training.config import Arithmetic
from mixvision.training.trainer import TrainingBar, trainer_for


class Line(lightning.LightningModule):
    """A model of one weight that remembers how its bar is called at the start and in each step."""

    def __init__(self, bar: TrainingBar) -> None:
        super().__init__()
        self.weight, self.bar, self.said = torch.nn.Parameter(torch.ones(1)), bar, list[str]()

    def on_train_start(self) -> None:
        self.said.append(self.bar.train_progress_bar.desc)

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        self.said.append(self.bar.train_progress_bar.desc)
        return (self.weight * batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.parametrize(
    ("length", "said"),
    [
        ({"max_epochs": 2}, ["training cnn, epoch 1 of 2: "] * 2 + ["training cnn, epoch 2 of 2: "]),
        ({"max_steps": 2}, ["training cnn: "] * 3),
    ],
)
def test_a_bar_says_what_is_trained(tmp_path, length, said):
    bar = TrainingBar("cnn")
    model = Line(bar)
    options = {"default_root_dir": tmp_path, "enable_checkpointing": False, **length}
    trainer_for(model, Arithmetic(accelerator="cpu"), [bar], **options).fit(model, DataLoader([torch.ones(1)]))
    assert model.said == said


def test_one_process_trains_whatever_slurm_started(tmp_path, monkeypatch):
    for name, value in {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "study", "SLURM_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    model = Line(TrainingBar("cnn"))
    arithmetic = Arithmetic(accelerator="cpu")
    trainer = trainer_for(model, arithmetic, [], default_root_dir=tmp_path, max_steps=1, enable_checkpointing=False)
    assert trainer.num_devices == trainer.world_size == 1
