"""A classifier whose labels have the names that a policy gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from azr_monitor.classifiers.base import Classifier, ClassifierUnavailable, Unscored


class Renamed:
    """``inner`` under other labels. Labels that share a name become one: of their values the highest."""

    def __init__(self, inner: Classifier, names: Mapping[str, str]) -> None:
        """Call labels as ``names`` says; those that it does not list keep their own.

        Raises:
            ClassifierUnavailable: it lists a label that there is not.
        """
        unknown = sorted(set(names) - set(inner.categories))
        if unknown:
            raise ClassifierUnavailable(
                f"{inner.name} has no label {unknown[0]!r}; it has {', '.join(inner.categories)}",
                "mend categories in the policy",
            )
        self.name = inner.name
        self.categories = tuple(dict.fromkeys(names.get(label, label) for label in inner.categories))
        self._inner = inner
        self._names = names

    def windows(self, text: str) -> list[tuple[int, int]]:
        """As the classifier itself."""
        return self._inner.windows(text)

    def score(self, texts: Sequence[str]) -> list[Mapping[str, float] | Unscored]:
        """Each category's value for each text."""
        return [values if isinstance(values, Unscored) else self._named(values) for values in self._inner.score(texts)]

    def _named(self, values: Mapping[str, float]) -> dict[str, float]:
        named: dict[str, list[float]] = {}
        for label, value in values.items():
            named.setdefault(self._names.get(label, label), []).append(value)
        # A value that is no number is not outdone by one that is, so that it is refused.
        return {name: max(shared, key=lambda value: (value != value, value)) for name, shared in named.items()}
