"""A report as HTML: a fragment for a notebook, or a whole page. No scripts, no links, every text escaped."""

from __future__ import annotations

from chainrule.proofread.report import Line, Report
from chainrule.proofread.written import MARKS, remark_of, summary
from chainrule.render.html import escape

CLASSES = {"✓": "right", "✗": "wrong", "!": "wrong", "?": "open", " ": "given"}
STYLE = """
.proofread{font-family:system-ui,sans-serif;line-height:1.45;color:#1c1c1c;max-width:60rem}
.proofread table{border-collapse:collapse;width:100%}
.proofread td{padding:.22rem .6rem;vertical-align:top}
.proofread td.number{color:#8a8a8a;text-align:right;width:1%;font-variant-numeric:tabular-nums}
.proofread td.mark{width:1%;font-weight:700}
.proofread td.formula,.proofread pre{font-family:ui-monospace,'SFMono-Regular',Menlo,Consolas,monospace;font-size:.92em}
.proofread td.formula{white-space:pre-wrap;overflow-wrap:anywhere}
.proofread tr.given td.formula{color:#6b6b6b}
.proofread tr.prose td.formula{color:#8a8a8a;font-family:system-ui,sans-serif;font-style:italic}
.proofread tr.right td.mark{color:#176b2c}
.proofread tr.wrong td.mark{color:#a11}
.proofread tr.open td.mark{color:#8a6100}
.proofread tr.first{background:#fdecec}
.proofread tr.first td.formula{font-weight:600}
.proofread .why{display:block;color:#6b6b6b;font-family:system-ui,sans-serif;font-weight:400;font-size:.92em}
.proofread .verdict{font-size:1.05em;font-weight:600;padding:.5rem .8rem;border-radius:.4rem;display:inline-block}
.proofread .verdict.right{background:#e7f4ea;color:#176b2c}
.proofread .verdict.wrong{background:#fdecec;color:#a11}
.proofread .verdict.open{background:#fdf5e0;color:#8a6100}
.proofread .diagnosis{border-left:4px solid #a11;padding:.4rem 1rem;margin:1rem 0;background:#fafafa}
.proofread h4{margin:.9rem 0 .2rem;font-size:.95em}
.proofread pre{margin:.2rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
.proofread pre.right{color:#176b2c;font-weight:600}
.proofread ol{margin:.2rem 0;padding-left:1.6rem}
""".replace("\n", "")


def report_html(report: Report) -> str:
    """Return a report as a fragment: the verdict, every line of the text with its mark, and what is wrong."""
    first = report.first_wrong
    rows = "".join(text_rows(report))
    found = diagnosis_html(first) if first else ""
    return f'<div class="proofread"><style>{STYLE}</style>{headline(report)}{found}<table>{rows}</table></div>'


def report_page(report: Report, title: str) -> str:
    """Return a whole page to open in a browser."""
    name = escape(f"{title}: proofread")
    look = "<style>body{margin:2rem auto;max-width:62rem;padding:0 1rem;font-family:system-ui,sans-serif}</style>"
    head = f'<meta charset="utf-8"><title>{name}</title>{look}'
    body = f"<h2>{name}</h2>\n{report_html(report)}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>'


def headline(report: Report) -> str:
    """Return the verdict on the whole, in one sentence."""
    first = report.first_wrong
    if first is None:
        words, tone = summary(report)
        kind = "right" if tone == "good" else "open"
    else:
        words, kind = f"The first wrong line is line {first.number}.", "wrong"
    return f'<p><span class="verdict {kind}">{escape(words)}</span></p>'


def text_rows(report: Report) -> list[str]:
    """Return the rows of the table: each formula where it stands in the text, the prose between them."""
    found: dict[int, list[Line]] = {}
    for line in report.lines:
        found.setdefault(line.number, []).append(line)
    rows = []
    for number, words in enumerate(report.text.split("\n"), 1):
        if number in found:
            rows += [line_row(line, line is report.first_wrong) for line in found[number]]
        elif words.strip():
            cells = f'<td class="number">{number}</td><td></td><td class="formula">{escape(words)}</td>'
            rows.append(f'<tr class="prose">{cells}</tr>')
    return rows


def line_row(line: Line, is_first: bool) -> str:
    """Return one formula with its mark and what is to be said of it."""
    mark = MARKS[line.verdict]
    remark = remark_of(line)
    why = f'<span class="why">{escape(remark)}</span>' if remark else ""
    kind = CLASSES[mark] + (" first" if is_first else "")
    return (
        f'<tr class="{kind}"><td class="number">{line.number}</td><td class="mark">{mark.strip()}</td>'
        f'<td class="formula">{escape(line.text)}{why}</td></tr>'
    )


def diagnosis_html(line: Line) -> str:
    """Return what is wrong with a line, a counterexample, the correct line and the way to it."""
    parts = [f"<pre>{escape(line.text)}</pre>"]
    if line.condition:
        parts.append(f"<p>It is right only if {escape(line.condition)}.</p>")
    if line.diagnosis is not None:
        parts.append(f"<p><b>{escape(line.diagnosis.kind)}</b>: {escape(line.diagnosis.message)}</p>")
        if line.diagnosis.counterexample is not None:
            parts.append(f"<h4>For example</h4><pre>{escape(str(line.diagnosis.counterexample))}</pre>")
    elif line.why:
        parts.append(f"<p>{escape(line.why)}</p>")
    if line.correct:
        parts.append(f'<h4>It should say</h4><pre class="right">{escape(line.correct)}</pre>')
    if line.steps:
        steps = "".join(f"<li><pre>{escape(step)}</pre></li>" for step in line.steps)
        parts.append(f"<h4>Because</h4><ol>{steps}</ol>")
    return f'<div class="diagnosis">{"".join(parts)}</div>'
