from __future__ import annotations

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvision.images.components import components_of

rows = st.lists(st.tuples(st.sampled_from(["nice", "real"]), st.integers(0, 9), st.sampled_from(["", "a", "b"])))


def components(pictures: list[tuple[str, int, str]]) -> list[int]:
    return components_of(pd.DataFrame(pictures, columns=["domain", "cluster", "group"])).tolist()


def test_clusters_and_groups_link_images():
    pictures = [("nice", 7, "a"), ("nice", 8, ""), ("nice", 7, ""), ("nice", 9, "a"), ("real", 5, "a"), ("real", 9, "")]
    assert components(pictures) == [0, 1, 0, 0, 2, 0], "a group holds within a domain, a cluster across both"
    assert components([("nice", 1, ""), ("nice", 2, "")]) == [0, 1], "images without a group are not one group"
    assert components([]) == []


@settings(deadline=None, max_examples=60)
@given(pictures=rows)
def test_two_images_share_a_component_if_a_chain_of_links_joins_them(pictures):
    reached = list(range(len(pictures)))
    for _ in pictures:  # by hand: the smallest row that can be reached
        for left, (domain, cluster, group) in enumerate(pictures):
            for right, (other, own, named) in enumerate(pictures):
                if cluster == own or (domain == other and group == named != ""):
                    reached[left] = min(reached[left], reached[right])
    first = list(dict.fromkeys(reached))
    assert components(pictures) == [first.index(row) for row in reached]
