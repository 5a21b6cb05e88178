"""The files of config/deploy as values, and what is in them that several tests look at."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "config" / "deploy"
RULES: Final = DEPLOY / "prometheus" / "alerts.yaml"


class _OnceEach(yaml.SafeLoader):
    """A loader that refuses a key stated twice, which YAML forbids and this library takes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Gives the mapping; raises ValueError."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key is stated twice: {node.start_mark}")
        return super().construct_mapping(node, deep)


def documents(text: str) -> list[Any]:
    """Gives every document of a text."""
    return list(yaml.load_all(text, Loader=_OnceEach))  # a safe loader


def document(path: Path) -> Any:
    """Gives the only document of a file."""
    (one,) = documents(path.read_text(encoding="utf-8"))
    return one


COMPOSE: Final[Mapping[str, Any]] = document(DEPLOY / "compose" / "compose.yaml")
ENVOY: Final[Mapping[str, Any]] = document(DEPLOY / "envoy" / "envoy.yaml")
MANIFESTS: Final = [
    one
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for one in documents(path.read_text(encoding="utf-8"))
]


def manifest(kind: str, name: str) -> Any:
    """Gives the one Kubernetes object of a kind and name."""
    (one,) = [one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return one


def pods() -> Iterator[Mapping[str, Any]]:
    """Yields the specification of each pod that Kubernetes is told to start."""
    for one in MANIFESTS:
        if "template" in one["spec"]:
            yield one["spec"]["template"]["spec"]


def values_of(node: object, key: str) -> Iterator[Any]:
    """Yields what stands under a key, wherever in the document."""
    if isinstance(node, Mapping):
        if key in node:
            yield node[key]
        for one in node.values():
            yield from values_of(one, key)
    elif isinstance(node, list):
        for one in node:
            yield from values_of(one, key)
