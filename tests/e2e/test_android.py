"""The real mobilenet_int8 in an Android project: photos to the byte, on a JVM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from edgekit.android.export import GOLDEN, export_android
from edgekit.data.manifest import load_manifest
from edgekit.fetch import fetch
from edgekit.progress import SilentProgress
from edgekit.resources import shipped
from tests.android import kotlin
from tests.e2e.conftest import Finished

pytestmark = [pytest.mark.slow, pytest.mark.network, kotlin.needs_kotlin]
EXIF_ORIENTATION = 0x0112


def write_photos(folder: Path) -> int:
    """Every photo of the shipped dataset, some of them also grey, with alpha, and turned."""
    manifest = load_manifest(shipped("calibration") / "imagenet_photos.yaml")
    for number, image in enumerate(manifest.images):
        file = fetch(image.source, sha256=image.sha256, progress=SilentProgress())
        shutil.copyfile(file, folder / f"{number:02}{file.suffix}")
        with Image.open(file) as photo:
            rgb = photo.convert("RGB")
        # Sizes of all kinds, as most of the photos have the model's own.
        rgb = rgb.crop((3, 5, rgb.width - number % 7 * 3, rgb.height - number % 11 * 2))
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = number % 8 + 1
        match number % 4:
            case 0:
                rgb.convert("L").save(folder / f"{number:02}_grey.png", exif=exif)
            case 1:
                alpha = rgb.convert("L")
                rgb.putalpha(alpha)
                rgb.save(folder / f"{number:02}_alpha.png", exif=exif)
            case _:
                rgb.save(folder / f"{number:02}_turned.jpg", exif=exif)
    return len(list(folder.iterdir()))


def test_photos_come_to_the_same_tensor_and_the_same_label(
    mobilenet: Finished, tmp_path: Path
) -> None:
    app = tmp_path / "app"
    (app / "src").mkdir(parents=True)
    (app / "build.gradle.kts").touch()
    (tmp_path / "photos").mkdir()
    count = write_photos(tmp_path / "photos")
    assert count >= 40
    export_android(mobilenet.folder, tmp_path, pictures=tmp_path / "photos")
    golden = json.loads((app / GOLDEN / "golden.json").read_text(encoding="utf-8"))
    shapes = {(each["width"], each["height"]) for each in golden["vectors"]}
    assert len(shapes) > 20
    assert {each["channels"] for each in golden["vectors"]} == {1, 3, 4}
    assert {each["exif_orientation"] for each in golden["vectors"]} == set(range(1, 9))
    core = kotlin.compile_core()
    sources = [app / "src" / kind / "kotlin/dev/edgekit/model" for kind in ("main", "test")]
    generated = kotlin.compile_kotlin(sources, [core.jar, *kotlin.TESTING])
    assert generated.ok, generated.said
    tested = kotlin.run_tests(
        [generated.jar, core.jar, app / "src/test/resources"],
        ["dev.edgekit.model.ModelContractTest"],
    )
    print(f"{count} photos\n{tested.output}")
    assert (tested.code, tested.passed, tested.failed) == (0, 2, 0), tested.output
