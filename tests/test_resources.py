"""Shipped folders, in a checkout."""

from edgekit.resources import shipped


def test_calibration_folder_is_found_with_its_manifest() -> None:
    assert (shipped("calibration") / "imagenet_photos.yaml").is_file()
