"""Learners: everything that a comparison can train on a series table, by name."""

from agrifm.config import ModelConfig
from agrifm.errors import ConfigError, did_you_mean
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import Combination, Fitted, Learner

STEPS = 400
"""Training steps of a network on a table."""


def learn_agrifm(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Train AgriFM on a table; the round that is best on the validation places is kept.

    Without validation places the rounds are judged by the training places, so in effect the last one is kept.
    """
    from agrifm.train.table_network import fit_network_on_table

    config = ModelConfig(names=("agrifm",), steps=STEPS, learning_rate=2e-3)
    trained = fit_network_on_table(training, validation if len(validation) else training, config, seed)
    parameters = sum(parameter.numel() for parameter in trained.classifier.parameters())
    return Fitted(
        trained.probabilities,
        trained.probabilities(validation) if len(validation) else None,
        parameters,
        {"kept_step": trained.outcome.kept_round},
    )


LEARNERS: dict[str, Learner] = {"agrifm": learn_agrifm}
"""Models that are trained, by name."""
COMBINATIONS: dict[str, Combination] = {}
"""Models that are means of others, by name."""


def require_known(names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse unknown models.

    Raises:
        ConfigError: a name is not in `known`; the message suggests the nearest one.
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"comparing models: unknown model '{name}'{did_you_mean(name, known)} (known: {', '.join(known)}); "
                "change `models`",
                model=name,
                known=known,
            )
