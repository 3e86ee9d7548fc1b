"""How nodes with many inputs or outputs are wired: by name, so that no two can be mistaken for each other."""

# Of mixvision.reporting.results.StudyResults, which every page of a study with images takes.
STUDY_RESULTS = ("manifest", "trials", "outcomes", "split_audit", "split_summary")


def by_name(*datasets: str, **others: str) -> dict[str, str]:
    """A node's inputs, by the name of the parameter that takes each; or its outputs, by the keys of what it returns.

    Args:
        datasets: those whose parameter has their own name ("manifest", or "params:report" for ``report``).
        others: parameter=dataset, where the two names differ.
    """
    return {name.removeprefix("params:"): name for name in datasets} | others
