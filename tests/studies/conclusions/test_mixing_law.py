"""The law of mixing on data that follow it and on awkward data, and its predictions compared with observations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvision.studies.conclusions.mixing_law import (
    HIGHEST_RATE,
    MixingLaw,
    Proxies,
    compare_predictions,
    fit_law,
    fit_proxies,
    predicted_accuracies,
)

LAWS = {"nice": MixingLaw(start=0.8, floor=0.05, rate=6.0), "real": MixingLaw(start=0.9, floor=0.5, rate=3.0)}
RATIOS = list(range(0, 101, 10))
SHARES = np.linspace(0, 1, 101)
FRACTION = st.floats(0, 1)


def make_trials(ratios=RATIOS) -> pd.DataFrame:
    return pd.DataFrame({"trial": [f"r{ratio}" for ratio in ratios], "ratio": ratios})


def make_history(ratios=RATIOS, noise_before: int = 0) -> pd.DataFrame:
    """Evaluations at 100, 200, 300 and 400 by the law on validation images; the test images say the opposite."""
    truth = predicted_accuracies(LAWS, ratios).assign(trial=[f"r{ratio}" for ratio in ratios])
    parts = []
    for iteration in (100, 200, 300, 400):
        seen = truth.copy()
        if iteration < noise_before:
            seen[["nice_top1", "real_top1", "performance_top1"]] = 0.1
        other = seen.assign(nice_top1=1 - seen["nice_top1"], real_top1=1 - seen["real_top1"])
        parts += [seen.assign(iteration=iteration, split="validation"), other.assign(iteration=iteration, split="test")]
    return pd.concat(parts).drop(columns="ratio")


def make_outcome(ratios=RATIOS) -> pd.DataFrame:
    performances = predicted_accuracies(LAWS, ratios)["performance_top1"]
    columns = {"ratio": ratios, "performance_top1": performances, "validation_performance_top1": performances}
    return pd.DataFrame(columns)


THREE, FIVE = [0, 0.5, 1], [0, 0.2, 0.5, 0.8, 1]
FLAT, STEEP = MixingLaw(0.6, 0.0, 0.3), MixingLaw(0.9, 0.1, 15.0)
KNOWN = [(law, shares) for law in (*LAWS.values(), FLAT) for shares in (THREE, FIVE)]


# Of a steep law three points show only the floor, so that the rate is open.
@pytest.mark.parametrize(("law", "shares"), [*KNOWN, (STEEP, FIVE)])
def test_data_that_follow_the_law_are_recovered(law, shares):
    fitted = fit_law(np.array(shares), law.error(shares))
    assert fitted.error(SHARES) == pytest.approx(law.error(SHARES), abs=0.02)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(FRACTION, FRACTION), min_size=3, max_size=11, unique_by=lambda pair: pair[0]))
def test_awkward_data_give_a_finite_law_with_errors_between_0_and_1(points):
    shares, errors = map(np.array, zip(*points, strict=True))
    law = fit_law(shares, errors)
    predicted = law.error(SHARES)
    assert np.isfinite(predicted).all() and (predicted >= -1e-9).all() and (predicted <= 1 + 1e-9).all()
    assert 0 <= law.rate <= HIGHEST_RATE
    # No worse than the best constant, which is a law too.
    squares = ((law.error(shares) - errors) ** 2).sum()
    assert squares <= ((errors - errors.mean()) ** 2).sum() + 1e-3


def test_a_step_between_two_points_does_not_give_the_steepest_curve():
    assert fit_law(np.array([0, 0.5, 1]), np.array([0.8, 0.1, 0.12])).rate < HIGHEST_RATE / 1.5


def test_fewer_than_three_different_shares_are_refused():
    with pytest.raises(ValueError, match="3 or more"):
        fit_law(np.array([0, 1, 1]), np.array([0.5, 0.1, 0.2]))


def test_the_law_of_each_domain_uses_its_own_share():
    predicted = predicted_accuracies(LAWS, [0, 100]).set_index("ratio")
    assert predicted.loc[0, ["nice_top1", "real_top1"]].tolist() == pytest.approx([0.95 - 0.75 * np.exp(-6), 0.1])
    assert predicted.loc[100, ["nice_top1", "real_top1"]].tolist() == pytest.approx([0.2, 0.5 - 0.4 * np.exp(-3)])


def test_a_history_that_follows_the_law_is_predicted_with_its_best_ratio():
    curves = fit_proxies(make_history(), make_trials(), Proxies())
    truth = predicted_accuracies(LAWS, range(101))
    table = compare_predictions(curves, make_outcome())
    assert len(table) == 6 and (table["error"] < 0.01).all()
    assert (table["predicted_best"] - truth["performance_top1"].idxmax()).abs().max() <= 2
    assert (table["nearest"] == table["observed_best"]).all() and (table["regret"] == 0).all()


def test_the_cost_counts_proxies_and_their_iterations():
    table = compare_predictions(fit_proxies(make_history(), make_trials(), Proxies()), make_outcome())
    costs = table.set_index(["proxies", "iteration"])["cost"]
    assert costs["0, 50, 100", 100] == pytest.approx(3 / 11 / 4)
    assert costs["0, 20, 50, 80, 100", 400] == pytest.approx(5 / 11)
    early = fit_proxies(make_history(), make_trials(), Proxies(ratio_sets=[[0, 50, 100]], iteration_shares=[0.25]))
    assert compare_predictions(early, make_outcome())["cost"].tolist() == pytest.approx([3 / 11 / 4])


def test_only_the_named_iteration_and_the_proxies_are_used_in_the_fit():
    history = make_history(noise_before=150)
    curves = fit_proxies(history, make_trials(), Proxies()).set_index(["proxies", "iteration", "ratio"])
    assert curves.loc[("0, 50, 100", 100, 30), "nice_top1"] == pytest.approx(0.1, abs=0.01)
    assert curves.loc[("0, 50, 100", 200, 30), "nice_top1"] > 0.8
    changed = history.copy()
    changed.loc[changed["trial"] == "r30", ["nice_top1", "real_top1", "performance_top1"]] = 0.0
    again = fit_proxies(changed, make_trials(), Proxies()).set_index(["proxies", "iteration", "ratio"])
    metrics = ["nice_top1", "real_top1", "performance_top1"]
    pd.testing.assert_frame_equal(curves[metrics], again[metrics])
    assert (again.xs(30, level="ratio")["observed_nice_top1"] == 0).all()
    errors = compare_predictions(again.reset_index(), make_outcome()).set_index("iteration")["error"]
    assert (errors[[200, 400]] > 0.05).all()


def test_regret_is_counted_on_the_test_images():
    outcome = make_outcome([0, 50, 100]).assign(
        performance_top1=[0.3, 0.5, 0.7], validation_performance_top1=[0.9, 0.1, 0.1]
    )
    curves = fit_proxies(make_history([0, 50, 100]), make_trials([0, 50, 100]), Proxies(iteration_shares=[1.0]))
    row = compare_predictions(curves, outcome).iloc[0]
    assert row[["nearest", "observed_best"]].tolist() == [50, 0]
    assert row["regret"] == pytest.approx(0.2) and row["regret_of_best_proxy"] == pytest.approx(0.2)
    assert row["regret_of_all_runs"] == pytest.approx(0.4) and np.isnan(row["error"])


def test_sets_that_were_not_trained_completely_are_left_out():
    ratios = [0, 50, 100]
    curves = fit_proxies(make_history(ratios), make_trials(ratios), Proxies())
    assert set(curves["proxies"]) == {"0, 50, 100"}
    nothing = fit_proxies(make_history([0, 100]), make_trials([0, 100]), Proxies())
    assert nothing.empty and compare_predictions(nothing, make_outcome([0, 100])).empty


def test_a_history_without_validation_images_is_refused():
    history = make_history()
    with pytest.raises(ValueError, match="validation"):
        fit_proxies(history[history["split"] == "test"], make_trials(), Proxies())


@pytest.mark.parametrize(
    "parameters", [{"ratio_sets": [[0, 100]]}, {"ratio_sets": [[0, 50, 120]]}, {"iteration_shares": [0.0]}]
)
def test_bad_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        Proxies(**parameters)
