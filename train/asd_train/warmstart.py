"""Training that begins from another run's weights."""

from dataclasses import dataclass

import torch
from safetensors.torch import load_file

from asd_agent.errors import ConfigError
from asd_agent.features import FeatureSpec
from asd_train.checkpoint import TENSORS, Learner
from asd_train.recipe import Recipe
from asd_train.run import Run


@dataclass(frozen=True, slots=True)
class WarmStart:
    """A run to begin from."""

    run: Run

    def features(self, recipe: Recipe) -> FeatureSpec:
        """Front end of that run, with the normalisation that its weights expect.

        Raises
        ------
        ConfigError
            Its network or its front end is another than the recipe's.
        """
        info = self.run.info
        if info.network != recipe.network:
            raise ConfigError(
                f"--init {self.run.path}: its network is {info.network}, the recipe's "
                f"{recipe.network}. Take a run of the same network"
            )
        bare = {"mean_db": (), "std_db": ()}
        if info.features.model_copy(update=bare) != recipe.features.model_copy(
            update=bare
        ):
            raise ConfigError(
                f"--init {self.run.path}: its features are not those of recipe "
                f"{recipe.name}. Take a run of the same features"
            )
        return info.features

    def load(self, learner: Learner, recipe: Recipe, classes: tuple[str, ...]) -> bool:
        """Set the network's weights, and the head's if it has the same classes.

        Returns
        -------
        bool
            Whether the head was set, too.
        """
        learner.network.load_state_dict(self.run.network().state_dict())
        path = self.run.path / TENSORS
        same = classes == self.run.info.classes and recipe.loss == self.run.recipe.loss
        if not same or not path.is_file():
            return False
        with torch.no_grad():
            learner.head.load_state_dict(
                {
                    key.removeprefix("head."): value
                    for key, value in load_file(path).items()
                    if key.startswith("head.")
                }
            )
        return True

    @property
    def name(self) -> str:
        """What the new run remembers of it."""
        info = self.run.info
        return f"{self.run.recipe.name} seed {info.seed} steps {info.steps}"
