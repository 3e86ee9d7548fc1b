"""Tables of a sweep: the three snapshots of every ratio, with the published numbers next to them."""

from __future__ import annotations

import pandas as pd

from mixvision.evaluation.selection import best_first, best_label, not_behind
from mixvision.reporting.category_tables import chosen_category_tables
from mixvision.reporting.formatting import (
    DASH,
    interval,
    listed,
    markdown_table,
    number,
    setting_value,
    with_spread,
)
from mixvision.reporting.glossary import explain_terms
from mixvision.reporting.names import plain_name
from mixvision.reporting.published import PublishedMixing
from mixvision.reporting.ties import alone_sentence
from mixvision.vocabulary import BEST_IN, BEST_TEST, BEST_VALIDATION, SNAPSHOTS

HEADINGS = {
    "nice_top1": "nice top-1",
    "real_top1": "real top-1",
    "performance_top1": "performance top-1",
    "nice_top3": "nice top-3",
    "real_top3": "real top-3",
    "performance_top3": "performance top-3",
}
SETTINGS = {"ratio": "% real", "share": "% initial"}


def metric_table(
    summary: pd.DataFrame,
    intervals: pd.DataFrame,
    published: PublishedMixing | None,
    by: str = "ratio",
    highest: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """All numbers of the sweep, for a CSV file.

    Args:
        summary: what :func:`mixvision.evaluation.metrics.summarise` returns, by the setting ``by``.
        intervals: what :func:`mixvision.evaluation.intervals.performance_intervals` returns, by the same.
        published: the published table, or None.
        by: the setting: ``"ratio"`` (per cent real) or ``"share"`` (per cent of the iterations on initial training).
        highest: what :func:`mixvision.evaluation.metrics.highest_on_test` returns, by the same, or None.

    Returns:
        One row per value of ``by`` and ``snapshot`` (best_validation, last, best_test, then any other snapshot), test
        images: ``trials``, the metrics and their ``_std`` over seeds; for best_validation the bounds of the interval
        ``performance_top1_low``... and ``validation_performance_top1``, by which the best ratio is picked;
        for best_test the columns of ``highest``; and ``published_<metric>`` where published.
    """
    tested = summary[summary["split"] == "test"].drop(columns="split")
    validated = summary[summary["split"] == "validation"]
    validated = validated[[by, "snapshot", "performance_top1"]].rename(
        columns={"performance_top1": "validation_performance_top1"}
    )
    bounds = intervals.assign(snapshot="best_validation")
    table = tested.merge(bounds, on=[by, "snapshot"], how="left")
    table = table.merge(validated[validated["snapshot"] == "best_validation"], on=[by, "snapshot"], how="left")
    if highest is not None:
        table = table.merge(highest.assign(snapshot=BEST_TEST), on=[by, "snapshot"], how="left")
    paper = published_rows(published)
    if paper is not None:
        table = table.merge(paper.add_prefix("published_").rename(columns={"published_ratio": "ratio"}), how="left")
    order = table["snapshot"].map({snapshot: place for place, snapshot in enumerate(SNAPSHOTS)})
    return table.assign(order=order).sort_values([by, "order"]).drop(columns="order").reset_index(drop=True)


def published_rows(published: PublishedMixing | None) -> pd.DataFrame | None:
    """The published table as a frame (``ratio`` and metrics as fractions), or None if nothing is published."""
    return pd.DataFrame(list(published.rows)) if published else None


def best_published(published: PublishedMixing | None) -> tuple[int, float] | None:
    """The published ratio (per cent real) of the highest performance (fraction), and that performance, if any is."""
    paper = published_rows(published)
    if paper is None or paper.get("performance_top1", pd.Series(dtype=float)).isna().all():
        return None
    performances = paper.set_index("ratio")["performance_top1"]
    ratio = best_label(performances)
    return int(ratio), float(performances[ratio])


def best_ratio(table: pd.DataFrame, by: str = "ratio") -> int:
    """The ratio, or share, whose best_validation snapshot performs best on validation images; test images play no part.

    Raises:
        ValueError: none was measured on validation images of both domains.
    """
    honest = table[table["snapshot"] == "best_validation"].dropna(subset="validation_performance_top1")
    if honest.empty:
        raise ValueError(f"No {by} has a validation performance; keep some images of both domains for validation.")
    return int(best_first(honest, "validation_performance_top1")[by].iloc[0])


def with_distances(table: pd.DataFrame, behind: pd.DataFrame, by: str = "ratio") -> pd.DataFrame:
    """The table of metrics with what :func:`mixvision.evaluation.intervals.behind_best` returns."""
    return table.merge(behind.assign(snapshot="best_validation"), on=[by, "snapshot"], how="left")


def distances(rows: pd.DataFrame) -> list[str]:
    """How far each row is behind the best one, as text; a dash for the best one itself."""
    bounds = zip(rows["behind_low"], rows["behind_high"], strict=True)
    return [interval(*pair) if any(pair) else DASH for pair in bounds]


def inseparable(table: pd.DataFrame, by: str = "ratio") -> list[int]:
    """The ratios, or shares, that the test images cannot tell from the best one, which is among them."""
    honest = table[table["snapshot"] == "best_validation"]
    return sorted(map(int, not_behind(honest, best_ratio(table, by), by)))


def inseparable_sentence(table: pd.DataFrame, by: str = "ratio") -> str:
    """Which others the test images cannot tell from the best ratio, or share, and whether that covers the seeds."""
    if "is_beaten" not in table or table[by].nunique() == 1:
        return ""
    others = [f"{value}%" for value in inseparable(table, by) if value != best_ratio(table, by)]
    sentence = alone_sentence(by)
    if others:
        sentence = f"These test images cannot tell it from {listed(others)} {SETTINGS[by].removeprefix('% ')}."
    seeds = "" if (table["trials"] > 1).any() else f" Seeds were not looked at: each {by} was trained with one."
    return sentence + seeds


def comparison_table(
    table: pd.DataFrame, table_without_leaks: pd.DataFrame | None = None, by: str = "ratio"
) -> pd.DataFrame:
    """Top-1 performance of each ratio, or share, at the three snapshots, as text; next to best_test the published one.

    Where test images leak, a second column for best_validation leaves them out.
    """
    shown = {}
    for snapshot in SNAPSHOTS:
        rows = table[table["snapshot"] == snapshot].set_index(by)
        shown[plain_name(snapshot)] = with_spread(rows, "performance_top1")
        if snapshot == "best_validation":
            bounds = zip(rows["performance_top1_low"], rows["performance_top1_high"], strict=True)
            shown["95% interval"] = pd.Series([interval(*pair) for pair in bounds], index=rows.index)
            if "behind_low" in rows:
                shown["behind the best"] = pd.Series(distances(rows), index=rows.index)
            if table_without_leaks is not None:
                clean = table_without_leaks[table_without_leaks["snapshot"] == snapshot].set_index(by)
                shown[f"{plain_name(snapshot)}, without leaks"] = with_spread(clean, "performance_top1")
        if snapshot == "best_test" and "published_performance_top1" in rows:
            shown["published"] = rows["published_performance_top1"].map(number)
    return pd.DataFrame(shown).fillna(DASH).rename_axis(SETTINGS[by]).reset_index()


def snapshot_table(table: pd.DataFrame, snapshot: str, by: str = "ratio") -> pd.DataFrame:
    """All metrics of each ratio, or share, at one snapshot, as text; best_test next to the published ones."""
    rows = table[table["snapshot"] == snapshot].set_index(by)
    shown = {}
    for metric, heading in HEADINGS.items():
        shown[heading] = with_spread(rows, metric)
        if snapshot == BEST_TEST and f"highest_{metric}" in rows:
            shown[f"{heading}, its highest"] = rows[f"highest_{metric}"].map(number)
        published = rows.get(f"published_{metric}")
        if snapshot == "best_test" and published is not None and published.notna().any():
            shown[f"{heading}, published"] = published.map(number)
    return pd.DataFrame(shown).rename_axis(SETTINGS[by]).reset_index()


def own_snapshots_table(table: pd.DataFrame, by: str = "ratio") -> pd.DataFrame:
    """Top-1 accuracy in each domain, and performance, each at the snapshot that was chosen for it, as text."""
    chosen = {f"{domain}_top1": snapshot for domain, snapshot in BEST_IN.items()} | {
        "performance_top1": BEST_VALIDATION
    }
    rows = {metric: table[table["snapshot"] == snapshot].set_index(by) for metric, snapshot in chosen.items()}
    shown = {HEADINGS[metric]: with_spread(own, metric) for metric, own in rows.items()}
    return pd.DataFrame(shown).rename_axis(SETTINGS[by]).reset_index()


def metric_markdown(table: pd.DataFrame, published: PublishedMixing | None) -> str:
    """The comparison, a table for each of the three snapshots, one by category, and their terms, as Markdown."""
    parts = ["# Accuracy by share of real training images", markdown_table(comparison_table(table))]
    for snapshot in SNAPSHOTS:
        parts += [f"## {plain_name(snapshot).capitalize()}", markdown_table(snapshot_table(table, snapshot))]
    for shown in chosen_category_tables(table, "ratio", SETTINGS["ratio"]):
        parts += [f"## {shown.title}", markdown_table(shown.frame)]
    parts.append("\n".join(f"- **{term}**: {meaning}" for term, meaning in explain_terms(parts).items()))
    if (table["trials"] > 1).any():
        parts.append("± is the standard deviation over the seeds of a ratio.")
    if published:
        parts.append(f"Published: {published.origin}")
    return "\n\n".join(parts) + "\n"


def trial_settings(trials: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The settings all trials share (``setting``, ``value``), and the table of those in which they differ, as text."""
    same = [name for name in trials.columns if name != "trial" and trials[name].nunique(dropna=False) <= 1]
    values = [setting_value(trials[name].iloc[0]) for name in same]
    differing = trials.drop(columns=same)
    numbers = differing.select_dtypes("float").map(setting_value)
    return pd.DataFrame({"setting": list(map(plain_name, same)), "value": values}), differing.assign(**numbers)
