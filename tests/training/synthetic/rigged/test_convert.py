"""A checkout of ICT-FaceKit becomes a rig: vertices, triangles, parts; broken files are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastcaps.training.errors import InputError
from fastcaps.training.synthetic.rigged.convert import ICT_FACE_KIT, convert_rig
from fastcaps.training.synthetic.rigged.rig import load_rig
from tests.training.synthetic.rigged.rigs import ICT, LAYOUT, assert_same, tiny_rig, write_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "ICT-FaceKit"
    write_checkout(folder, tiny_rig())
    return folder


def test_a_checkout_becomes_the_rig_it_was_written_from(checkout: Path, tmp_path: Path) -> None:
    convert_rig(checkout, tmp_path / "rig.npz", LAYOUT)
    assert_same(load_rig(tmp_path / "rig.npz"), tiny_rig())


@pytest.mark.skipif(not ICT.exists(), reason="needs the ICT face rig, ../shared/data")
def test_the_layout_is_that_of_the_ict_rig() -> None:
    rig = load_rig(ICT)
    assert ICT_FACE_KIT.vertices == len(rig.neutral)
    assert list(ICT_FACE_KIT.landmarks) == rig.landmarks.tolist()


def test_without_a_checkout_the_error_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*generic_neutral_mesh.obj; get ICT-FaceKit"):
        convert_rig(tmp_path, tmp_path / "rig.npz")


@pytest.mark.parametrize(("pattern", "kind"), [("identity*", "identityNNN"), ("[!gi]*", "expres")])
def test_a_kind_of_file_is_missing(checkout: Path, pattern: str, kind: str) -> None:
    for path in (checkout / "FaceXModel").glob(f"{pattern}.obj"):
        path.unlink()
    with pytest.raises(InputError, match=f"FaceXModel has no {kind}.* OBJ files"):
        convert_rig(checkout, checkout / "rig.npz", LAYOUT)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("identity007", "version https://git-lfs.github.com/spec/v1\n", "at least 12 vertices"),
        ("jawOpen", "v 1 2 3\nv 1 2\n", "a vertex is not three numbers"),
        ("jawOpen", "v 1 2 x\n", "a vertex is not three numbers"),
        ("jawOpen", "v 1 2 nan\n" * 12, "at least 12 vertices"),
        ("generic_neutral_mesh", "v 1 2 3\n" * 12, "at least 9 polygons, got 0"),
        ("generic_neutral_mesh", "v 1 2 3\n" * 12 + "f 1 2 13\n" * 9, r"1 .. 12, got 1 2 13"),
        ("generic_neutral_mesh", "v 1 2 3\n" * 12 + "f 1 2\n" * 9, "got 1 2$"),
        ("generic_neutral_mesh", "v 1 2 3\n" * 12 + "f 1 2 /3\n" * 9, "a corner has no number"),
    ],
)
def test_a_broken_file_is_named(checkout: Path, name: str, text: str, message: str) -> None:
    (checkout / "FaceXModel" / f"{name}.obj").write_text(text)
    with pytest.raises(InputError, match=rf"{name}\.obj: .*{message}"):
        convert_rig(checkout, checkout / "rig.npz", LAYOUT)
    assert not (checkout / "rig.npz").exists()


def test_a_file_that_is_no_text(checkout: Path) -> None:
    (checkout / "FaceXModel" / "jawOpen.obj").write_bytes(b"v \xff\xfe")
    with pytest.raises(InputError, match=r"jawOpen\.obj cannot be read"):
        convert_rig(checkout, checkout / "rig.npz", LAYOUT)


def test_a_place_where_nothing_can_be_written(checkout: Path) -> None:
    with pytest.raises(InputError, match=r"out: .*rig\.npz cannot be written"):
        convert_rig(checkout, checkout / "absent" / "rig.npz", LAYOUT)
