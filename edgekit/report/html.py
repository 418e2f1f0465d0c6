"""The report as one HTML page, to attach to a release: verdict, checks, plots, what changed.

Everything is in the page: it opens offline, from a mail or an artefact store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgekit.report.advice import advice
from edgekit.report.changes_html import changes_section
from edgekit.report.figures import (
    change_text,
    interval_text,
    is_rate,
    passed_text,
    status_text,
    value_text,
)
from edgekit.report.layers import layers_from_list
from edgekit.report.layers_html import LAYERS_CAPTION, layers_plot
from edgekit.report.page import document, escaped
from edgekit.report.plots import accuracy_plot, change_plot, latency_plot, size_plot
from edgekit.report.tables_html import figures_section, more_sections
from edgekit.report.units import size_text

_STYLE = """
header { border-left: .4rem solid var(--mark); padding: .1rem 0 .1rem 1rem; }
header p { margin: .2rem 0; } .verdict { font-size: 1.6rem; font-weight: 700; color: var(--mark); }
h1 { margin: 0; } .pass { --mark: var(--good); } .fail { --mark: var(--bad); }
.inconclusive, .not_measured { --mark: var(--open); } .optional { --mark: var(--dim); }
.status { color: var(--mark); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; padding: 0; list-style: none; }
.tiles li, .plots figure, .flips figure { background: var(--panel); border: 1px solid var(--grid);
  border-radius: .4rem; }
.tiles li { padding: .6rem .8rem; } .tiles b { display: block; font-size: 1.35rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1rem; }
.plots figure { margin: 0; padding: .75rem; } .plots h3 { margin: 0 0 .4rem; }
h3 { font-size: .95rem; } figcaption { margin-top: .4rem; }
svg .strong { font-size: 12px; font-weight: 600; fill: var(--ink); }
svg text { paint-order: stroke; stroke: var(--panel); stroke-width: 3px; }
.float { fill: var(--own); } .quantized { fill: var(--all); } .zero { stroke: var(--dim); }
.float-line { stroke: var(--own); } .quantized-line { stroke: var(--all); }
.float-line, .quantized-line { fill: none; stroke-width: 2; }
.limit { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 4 3; }
.full { width: 100%; } .checks td, .checks th { border-bottom: 0; padding-bottom: 0; }
.checks { table-layout: fixed; } .checks td, .checks th { overflow-wrap: anywhere; }
.checks th:nth-child(1) { width: 31%; } .checks th:nth-child(2) { width: 17%; }
.checks th:nth-child(3) { width: 20%; } .checks .left { min-width: 0; }
.checks .why td { text-align: left; color: var(--dim); font-size: .9rem; padding-top: 0;
  padding-bottom: .35rem; border-bottom: 1px solid var(--grid); }
.flips { display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 9rem), 1fr)); }
.flips figure { margin: 0; padding: .6rem; font-size: .87rem; }
.flips img { display: block; width: 96px; height: 96px; object-fit: contain; margin-bottom: .4rem; }
.flips img.tiny { image-rendering: pixelated; }
.flips p { margin: .1rem 0; } .flips .id { overflow-wrap: anywhere; font-size: .8rem; }
details { margin: 1rem 0; } summary { cursor: pointer; font-weight: 600; }
code { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
.meter { min-width: 4rem; } .meter div { background: var(--all); height: .7rem; min-width: 2px;
  border-radius: 2px; }
"""


def html(report: Mapping[str, Any], evidence: Mapping[str, Any] | None, name: str) -> str:
    """The whole page. ``report`` is report.json, ``evidence`` evidence.json where the run has one,
    ``name`` how commands name the run."""
    parts = [
        _header(report),
        _tiles(report),
        _checks(report),
        _advice(report, name),
        _plots(report, evidence),
        *_behind(evidence),
        figures_section(report),
        *more_sections(report),
    ]
    title = f"{report['recipe']}: {report['verdict']}"
    return document(title, "\n".join(part for part in parts if part), _STYLE)


def _header(report: Mapping[str, Any]) -> str:
    artefact, verdict = report["artefact"], report["verdict"]
    return f"""<header class="{escaped(verdict)}">
<h1>{escaped(report["recipe"])}</h1>
<p class="verdict">{escaped(verdict.upper())}</p>
<p>{passed_text(report)}</p>
<p class="dim"><code>{escaped(artefact["path"])}</code>, {escaped(artefact["input_dtype"])} in, \
{escaped(artefact["output_dtype"])} out, made by {escaped(report["method"])}</p>
</header>"""


def _tiles(report: Mapping[str, Any]) -> str:
    size, fidelity, host = report["size"], report["fidelity"], report["latency"]["host"]
    tiles = [
        (
            f"{size['ratio']:.3f} x",
            f"size, {size_text(size['float_bytes'])} to {size_text(size['bytes'])}",
        )
    ]
    if "float_ms" in host:
        tiles.append((f"{host['speedup']:.2f} x", "speed on this host, float over quantized time"))
    for metric, found in list(report["accuracy"].items())[:1]:
        tiles.append(
            (change_text(found), f"{metric} {interval_text(found)}, {found['n']} labelled")
        )
    if fidelity["agreement"] is not None:
        tiles.append((f"{fidelity['agreement']:.1%}", f"same class on {fidelity['n']} samples"))
    else:
        tiles.append((f"{fidelity['sqnr_db']:.1f} dB", f"SQNR on {fidelity['n']} samples"))
    items = "\n".join(
        f'<li><b>{escaped(figure)}</b><span class="dim">{escaped(words)}</span></li>'
        for figure, words in tiles
    )
    return f'<ul class="tiles">\n{items}\n</ul>'


def _checks(report: Mapping[str, Any]) -> str:
    if not report["checks"]:
        return "<h2>Checks</h2>\n<p>The recipe sets no limit: nothing was checked.</p>"
    rows = "\n".join(_check(check) for check in report["checks"])
    return f"""<h2>Checks</h2>
<table class="full checks">
<thead><tr><th scope="col" class="left">check</th><th scope="col">limit</th>\
<th scope="col">value</th><th scope="col" class="left">result</th></tr></thead>
<tbody>
{rows}
</tbody></table>"""


def _check(check: Mapping[str, Any]) -> str:
    kind = check["status"] if check["required"] or check["status"] == "pass" else "optional"
    return (
        f'<tr><th scope="row" class="left"><code>{_breakable(check["name"])}</code></th>'
        f"<td>{escaped(value_text(check['limit']))}</td>"
        f"<td>{escaped(value_text(check['value']))}</td>"
        f'<td class="left status {escaped(kind)}">{escaped(status_text(check))}</td></tr>\n'
        f'<tr class="why"><td colspan="4">{escaped(check["why"])}</td></tr>'
    )


def _breakable(name: str) -> str:
    """A dotted name that a narrow screen breaks at its joints."""
    return escaped(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _advice(report: Mapping[str, Any], name: str) -> str:
    items = [_sentence(each) for each in advice(report, name)]
    return f"<h2>What to do next</h2>\n<ul>{''.join(items)}</ul>" if items else ""


def _sentence(sentence: str) -> str:
    """Every other piece between backticks is code."""
    pieces = map(escaped, sentence.split("`"))
    return (
        "<li>"
        + "".join(f"<code>{each}</code>" if n % 2 else each for n, each in enumerate(pieces))
        + "</li>"
    )


def _plots(report: Mapping[str, Any], evidence: Mapping[str, Any] | None) -> str:
    limits = {
        check["name"]: check["limit"]
        for check in report["checks"]
        if isinstance(check["limit"], int | float)
    }
    figure = "<figure><h3>{}</h3>\n{}\n<figcaption>{}</figcaption></figure>"
    ratio_max = limits.get("size.ratio")
    drawn = [
        figure.format(
            "Size",
            size_plot(report["size"], ratio_max),
            "Bytes of the files." + (" Dashed: the gate's limit." if ratio_max else ""),
        )
    ]
    metrics, host = report["accuracy"], report["latency"]["host"]
    for group in _groups(metrics):
        drops = {
            name: limits[f"accuracy.{name}.drop"]
            for name in group
            if f"accuracy.{name}.drop" in limits
        }
        named = "" if len(group) == len(metrics) else f": {escaped(', '.join(group))}"
        drawn.append(
            figure.format(
                f"Accuracy{named}",
                accuracy_plot(group),
                '<span class="key-own">&#9671;</span> float, <span class="key-all">&#9679;</span> '
                "quantized with its 95 % interval.",
            )
        )
        unit = ", in points," if is_rate(next(iter(group.values()))) else ""
        drawn.append(
            figure.format(
                f"Change{named or ' of accuracy'}",
                change_plot(group, drops),
                f"Quantized minus float{unit} with the 95 % interval of the paired comparison."
                + (" Dashed: the gate's limit." if drops else ""),
            )
        )
    if "float_ms" in host:
        times = None if evidence is None else evidence["times"]
        on = host.get("cpu")
        drawn.append(
            figure.format(
                "Host latency",
                latency_plot(host, times),
                ("Every timed run" if times else "Medians and 90th percentiles")
                + f"{f' on {escaped(on)}' if on else ''}; {host['speedup']:.2f} x as fast, "
                f"95 % interval {host['ci_low']:.2f} to {host['ci_high']:.2f}."
                + (f" {escaped(host['caveat'])}." if host.get("caveat") else ""),
            )
        )
    return '<h2>Float beside quantized</h2>\n<div class="plots">\n' + "\n".join(drawn) + "\n</div>"


def _groups(metrics: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that share an axis: all rates together, each other metric alone."""
    if rates := {name: metric for name, metric in metrics.items() if is_rate(metric)}:
        yield rates
    for name, metric in metrics.items():
        if name not in rates:
            yield {name: metric}


def _behind(evidence: Mapping[str, Any] | None) -> Iterator[str]:
    if evidence is None:
        return
    for changes in evidence["changes"]:
        yield changes_section(changes, evidence["classes"])
    found = evidence["layers"]
    if found is None:
        return
    yield "<h2>Layer by layer</h2>"
    if "layers" not in found:
        yield f'<p class="dim">Not compared: {escaped(found["why"])}</p>'
        return
    yield (
        f'<figure><div class="wide" tabindex="0" role="group" aria-label="Plot along the graph">'
        f"{layers_plot(layers_from_list(found['layers']))}</div>\n<figcaption>{LAYERS_CAPTION} "
        f"On {found['samples']} {escaped(found['role'])} samples.</figcaption></figure>"
    )
