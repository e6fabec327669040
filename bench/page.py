"""Puts the results into docs/performance.md, between its markers, and draws docs/performance/*.svg.

Invariants: only the text between the markers is written; the plots hold no date and no path, so that equal numbers give
equal files.
"""

from statistics import median

import report

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLOURS = {"kafka": "#8a8f98", "folder": "#1565c0", "minio": "#2e7d32", "s3-model": "#ef6c00"}
NAMES = {"kafka": "Apache Kafka", "folder": "Alluvium, local folder", "minio": "Alluvium, MinIO", "s3-model": "Alluvium, S3 model"}


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "alluvium", "svg.fonttype": "none", "font.size": 10}
    from matplotlib import pyplot

    return pyplot


def _save(figure, path):
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def throughput_plot(results, kinds, title, path):
    """Bars of MiB/s by case and target."""
    pyplot = _pyplot()
    found = {case: targets for (kind, case), targets in report.values(results).items() if kind in kinds}
    found = {case: targets for case, targets in found.items() if any(entry["values"] for entry in targets.values())}
    if not found:
        return False
    figure, axes = pyplot.subplots(figsize=(9, 0.62 * len(found) + 1.4))
    names = [name for name in NAMES if any(name in targets for targets in found.values())]
    height = 0.8 / len(names)
    for index, name in enumerate(names):
        places, widths, low, high = [], [], [], []
        for row, targets in enumerate(found.values()):
            seen = targets.get(name, {}).get("values") or []
            if seen:
                middle = median(seen)
                places.append(row + (index - (len(names) - 1) / 2) * height)
                widths.append(middle)
                low.append(middle - min(seen))
                high.append(max(seen) - middle)
        axes.barh(places, widths, height * 0.9, xerr=(low, high), color=COLOURS[name], label=NAMES[name], error_kw={"elinewidth": 1})
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("MiB/s of record values (more is better; lines: lowest and highest round)")
    axes.set_title(title)
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(axis="x", alpha=0.3)
    _save(figure, path)
    pyplot.close(figure)
    return True


def latency_plot(results, path):
    """The share of records by latency, produce and end to end, at the fixed rate."""
    pyplot = _pyplot()
    figure, all_axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    drawn = False
    for axes, what in zip(all_axes, ("produce", "end to end")):
        for name in NAMES:
            curves = [
                sample["latency_ms"]
                for sample in results["samples"]
                if sample["kind"] == "latency" and sample["target"] == name and sample["case"] == f"{what} p50, 5 MiB/s, 1 partition"
                and "latency_ms" in sample
            ]
            if not curves:
                continue
            shares = [float(key[1:]) for key in curves[0]]
            axes.plot([median(curve[key] for curve in curves) for key in curves[0]], shares, color=COLOURS[name], label=NAMES[name])
            drawn = True
        axes.set_xscale("log")
        axes.set_title(f"{what}, 5 MiB/s, 1 partition")
        axes.set_xlabel("ms from when the record was due (less is better)")
        axes.grid(alpha=0.3, which="both")
    all_axes[0].set_ylabel("% of records")
    all_axes[0].legend(fontsize=8)
    if drawn:
        _save(figure, path)
    pyplot.close(figure)
    return drawn


def draw(results, folder):
    """All plots; returns (file name, title) of those that had numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = [
        ("produce.svg", "Produce, one client, acks=all, 1 KiB records", lambda path, title: throughput_plot(results, ["produce"], title, path)),
        ("consume.svg", "Consume, one client, 1 KiB records", lambda path, title: throughput_plot(results, ["consume"], title, path)),
        ("latency.svg", "Latency at 5 MiB/s", lambda path, _: latency_plot(results, path)),
    ]
    return [(name, title) for name, title, plot in plots if plot(folder / name, title)]


def measured_text(results, plots):
    """What stands between the markers."""
    lines = [report.heading(results), "", "Medians over the rounds (lowest-highest), then the ratio to Kafka.", ""]
    lines += [report.markdown(report.rows(results)), ""]
    lines += [f"![{title}](performance/{name})" for name, title in plots]
    lines += ["", "| goal | measured | |", "| --- | --- | --- |"]
    lines += [f"| {text} | {value} | {'reached' if reached else '**not reached**'} |" for text, value, reached in report.goals(results)]
    failed = [sample for sample in results["samples"] if "failed" in sample]
    lines += [""] + [f"- failed: {sample['target']}, {sample['kind']}, {sample['case']}: {sample['failed']}" for sample in failed]
    return "\n".join(lines).rstrip() + "\n"


def write(results, docs):
    """Writes plots and the measured part of docs/performance.md."""
    plots = draw(results, docs / "performance")
    path = docs / "performance.md"
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{measured_text(results, plots)}{END}{after}")
