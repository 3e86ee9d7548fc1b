from __future__ import annotations

import numpy as np
import pytest
import torch

from mixvision.training.pool import BATCHES_PER_EPOCH, draw_order, pool_images, require_validation


def test_an_epoch_is_twenty_batches_in_a_new_order():
    images = np.arange(100, 203)
    first, second = draw_order(images, seed=1, epoch=0), draw_order(images, seed=1, epoch=1)
    assert first.shape == (BATCHES_PER_EPOCH, 5)
    assert len(np.unique(first)) == 100 and np.isin(first, images).all()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, draw_order(images, seed=1, epoch=0))


def test_a_pool_holds_the_right_pixels_labels_and_splits(small_manifest, small_pixels):
    train = small_manifest.loc[small_manifest["split"] == "train", "id"].iloc[:7]
    pool = pool_images(small_manifest, small_pixels, train)
    rows = small_manifest.set_index("id").loc[pool.ids]
    assert set(train) < set(pool.ids) and len(pool.ids) == 7 + (4 + 16) * 6
    for position in range(0, len(pool.ids), 11):
        row = rows.iloc[position]
        np.testing.assert_array_equal(pool.pixels[position], small_pixels[row["domain"]][row["pixel_row"]])
        assert pool.categories[pool.labels[position]] == row["category"]
        assert bool(pool.is_real[position]) == (row["domain"] == "real")
    for split, positions in pool.held_out.items():
        assert set(rows.iloc[positions.numpy()]["split"]) == {split}


def test_gathered_images_keep_each_trial_in_its_channels(small_manifest, small_pixels):
    pool = pool_images(small_manifest, small_pixels, small_manifest["id"])
    positions = torch.tensor([[0, 50, 99], [7, 3, 150]])
    images = pool.gather(positions)
    assert images.shape == (3, 6, 16, 16) and images.is_contiguous(memory_format=torch.channels_last)
    expected = pool.pixels[positions[1, 2]].permute(2, 0, 1) / 255
    torch.testing.assert_close(images[2, 3:6], expected)
    torch.testing.assert_close(pool.gather(positions[1])[2], expected)


def test_categories_without_validation_are_named(small_manifest):
    validation = (small_manifest["category"] == "1") & (small_manifest["split"] == "validation")
    manifest = small_manifest.assign(split=small_manifest["split"].mask(validation, "train"))
    with pytest.raises(ValueError, match=r"for '1': raise splits\.validation"):
        require_validation(manifest)
    in_one_domain = validation & (small_manifest["domain"] == "nice")
    require_validation(small_manifest.assign(split=small_manifest["split"].mask(in_one_domain, "train")))
    require_validation(manifest.assign(status=manifest["status"].mask(manifest["category"] == "1", "excluded")))
