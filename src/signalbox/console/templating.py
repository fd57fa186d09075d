"""Templates: everything put into them is escaped, and a name that is not there is an error."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context as TemplateContext
from markupsafe import Markup

from signalbox.console import formats, plots
from signalbox.console.assets import Assets
from signalbox.ops.kind_names import readable


class Templates:
    """Renders what lies in ``templates``. Each render knows ``root`` (the root path) and ``now`` (aware, UTC)."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._environment = Environment(
            loader=PackageLoader("signalbox.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {**formats.FILTERS, "moment": _moment, "readable": readable}
        self._environment.globals |= {"asset": self._asset, "url": _url, **plots.PLOTS}

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """The text of a template."""
        return self._environment.get_template(template).render(values)

    @pass_context
    def _asset(self, context: TemplateContext, name: str) -> str:
        return f"{context['root']}/console{self._assets.path(name)}"


@pass_context
def _url(context: TemplateContext, path: str = "") -> str:
    """The address of a path below ``/console``."""
    return f"{context['root']}/console{path}"


@pass_context
def _moment(context: TemplateContext, value: datetime | None) -> Markup:
    return formats.moment(value, context["now"])
