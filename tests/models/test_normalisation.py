import pytest
import torch
from torchvision.transforms.functional import normalize

from mixvision.models.normalisation import IMAGENET_MEAN, IMAGENET_STD, Normalise


@pytest.mark.parametrize(("mean", "std"), [(IMAGENET_MEAN, IMAGENET_STD), ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))])
def test_pixels_are_normalised_as_torchvision_does(mean, std):
    pictures = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(Normalise(mean, std)(pictures), normalize(pictures, mean, std))
    assert not Normalise().state_dict()


def test_the_defaults_are_those_of_imagenet():
    assert Normalise().mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert Normalise().std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
