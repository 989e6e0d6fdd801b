"""Named things of one kind: strategies, models, losses, stopping rules, data sources."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, TypeVar

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.core.options import require_signature

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])


class Registry(Generic[T]):
    """All things of one kind, by name. What is looked up first finds them; before that nothing is imported.

    A new module of the package is enough to add something: all modules of the package are imported at the first
    look-up, and what they define registers itself. Modules whose names begin with an underscore are left alone. Another
    installed package adds its own through an entry point that names a module of it.

    Parameters
    ----------
    noun : str
        What one of them is called in messages, such as "strategy".
    package : str, optional
        Package whose modules define them, or a single module.
    group : str, optional
        Entry points of this group are loaded too, such as "al_cxr.strategies".
    arguments : sequence of str, optional
        What `register` accepts are functions with these parameters, followed by keyword-only options with types.

    Examples
    --------
    >>> rules = Registry("rule", arguments=["history"])
    >>> @rules.register("never")
    ... def never(history):
    ...     return None
    >>> rules.names()
    ['never']
    >>> rules.get("nevr", "stop.rule: ")
    Traceback (most recent call last):
    al_cxr.core.errors.UserError: stop.rule: no rule 'nevr'; did you mean 'never'?
    """

    def __init__(
        self,
        noun: str,
        package: str | None = None,
        group: str | None = None,
        arguments: Sequence[str] | None = None,
    ) -> None:
        self.noun, self.package, self.group, self.arguments = noun, package, group, arguments
        self._things: dict[str, T] = {}
        self._homes: dict[str, str] = {}
        self._found = False
        self._lock = threading.RLock()

    def add(self, name: str, thing: T, home: str) -> None:
        """Makes a thing known under a name; `home` is the module that defines it.

        ValueError where another module has taken the name. A notebook may run a cell, and so define a thing, again.
        """
        taken = self._homes.get(name)
        if taken is not None and not taken == home == "__main__":
            raise ValueError(f"{self.noun} {name!r} is defined in {taken} and again in {home}; rename one of them")
        self._things[name], self._homes[name] = thing, home

    def register(self, name: str) -> Callable[[C], C]:
        """Decorator for a function or class that is itself the thing: makes it known under a name.

        ValueError where the name is taken, or where it takes other arguments than all things of this kind.
        """

        def add(thing: C) -> C:
            if self.arguments is not None:
                require_signature(thing, self.arguments, f"{self.noun} {name!r}")
            self.add(name, thing, thing.__module__)  # type: ignore[arg-type]
            return thing

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        self._find()
        return sorted(self._things)

    def get(self, name: str, where: str = "") -> T:
        """The thing of a name; UserError, beginning with `where`, with the nearest name otherwise."""
        self._find()
        if name not in self._things:
            raise UserError(f"{where}no {self.noun} {name!r}{hint(name, self.names())}")
        return self._things[name]

    def __contains__(self, name: object) -> bool:
        self._find()
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _find(self) -> None:
        """Imports the modules that define things, once; UserError for an installed package that cannot be loaded."""
        with self._lock:
            if self._found:
                return
            self._found = True  # before the imports: a module may look something up while it is imported
            try:
                if self.package is not None:
                    _import_all(importlib.import_module(self.package))
                for point in entry_points(group=self.group) if self.group is not None else ():
                    self._load(point)
            except BaseException:
                self._found = False
                raise

    def _load(self, point: EntryPoint) -> None:
        things, homes = dict(self._things), dict(self._homes)
        try:
            point.load()
        except Exception as error:  # whatever the code of others raises, the person who installed it is told
            self._things, self._homes = things, homes
            package = point.dist.name if point.dist is not None else point.value
            raise UserError(
                f"the installed package {package} cannot add its {self.noun} {point.name!r} ({point.value}): "
                f"{type(error).__name__}: {error}; repair or uninstall {package}"
            ) from error


def _import_all(module: ModuleType) -> None:
    """Imports every module of a package that is not private; a module that is no package is imported already."""
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            importlib.import_module(f"{module.__name__}.{found.name}")
