"""Reads the scoring part of a recipe from a file of its own."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from asd_agent.errors import ConfigError
from asd_train.scoring_spec import ScoringSpec


def read_scoring(path: Path) -> ScoringSpec:
    """Read a scoring from YAML.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML or breaks a rule; the text names the key.
    """
    try:
        return ScoringSpec.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(f"{path}: {key}: {first['msg']}") from error
