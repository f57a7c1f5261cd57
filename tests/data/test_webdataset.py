import io
import json
import tarfile

import pytest
from PIL import Image as Pillow

from tessera.data import open_data
from tessera.document import Task


def picture(level: int, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (32, 32), (level, level, level)).save(file, format)
    return file.getvalue()


def shard(path, files, format=tarfile.USTAR_FORMAT):
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def texts(source):
    return {source.document(Task.DRAW, index)[0].content for index in range(len(source))}


def good(key="0", text="grey"):
    return [(f"{key}.png", picture(9)), (f"{key}.txt", text.encode())]


def test_texts_and_pictures_of_a_sample_belong_together(tmp_path):
    files = [file for level in range(20) for file in good(f"a/{level:02}", str(level))]
    files[0::2] = [(name, picture(level)) for level, (name, _) in enumerate(files[0::2])]
    source = open_data(shard(tmp_path / "x.tar", files))
    for index in range(20):
        image, text = source.document(Task.CAPTION, index)
        assert int(text.content) == int(image.content[0, 0, 0])
    assert source.document(Task.DRAW, 0).id.startswith("x.tar, key a/")


def test_the_key_ends_at_the_first_dot_of_the_name_and_extensions_have_any_case(tmp_path):
    files = [("v1.0/a.JPG", picture(1, "JPEG")), ("v1.0/a.seg.png", picture(1)), ("v1.0/a.Txt", b"dots"), ("v1.0/a.cls", b"3")]
    source = open_data(shard(tmp_path / "x.tar", files))
    assert texts(source) == {"dots"} and source.document(Task.DRAW, 0).id == "x.tar, key v1.0/a"


@pytest.mark.parametrize(
    "extra, text",
    [
        ([("0.txt", "  裏\n".encode())], "裏"),
        ([("0.txt", b"\xef\xbb\xbfmark")], "mark"),
        ([("0.json", b'{"caption": "c", "text": "t"}')], "c"),
        ([("0.json", b'{"text": "t"}')], "t"),
        ([("0.json", b'{"caption": "c"}'), ("0.txt", b"first")], "first"),
    ],
)
def test_text_comes_from_txt_or_json(tmp_path, extra, text):
    assert texts(open_data(shard(tmp_path / "x.tar", [*extra, ("0.webp", picture(0, "WEBP"))]))) == {text}


def test_a_folder_of_shards_is_read_whole_and_keys_may_return_in_another_shard(tmp_path):
    for name in ("00001.tar", "00000.tar"):
        shard(tmp_path / name, good("0", name))
    (tmp_path / "00000_stats.json").write_text("{}")
    source = open_data(tmp_path)
    assert texts(source) == {"00000.tar", "00001.tar"}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_is_read_with_long_names_and_without_what_has_no_key(tmp_path, format):
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    long = "d" * 90 + "/" + "k" * 90
    path = shard(tmp_path / "x.tar", [(".DS_Store", b"x"), ("README", b"x"), *good(long), ("._9.png", b"x"), *good("9")], format)
    with tarfile.open(path, "a", format=format) as tar:
        tar.addfile(folder)
    source = open_data(path)
    assert len(source) == 2 and source.bad == []


BAD = [
    ([("1.txt", b"t")], "its files are txt; one of jpg, jpeg, png, webp is expected, and no file twice"),
    ([("1.png", picture(1)), ("1.jpg", picture(1)), ("1.txt", b"t")], "its files are png, jpg, txt; one of"),
    ([("1.png", picture(1)), ("1.txt", b"t"), ("1.txt", b"u")], "its files are png, txt, txt; .* no file twice"),
    ([("1.png", picture(1))], "its files are png; a .txt or a .json is expected beside the picture"),
    ([("1.png", picture(1)), ("1.txt", b" \n")], "'txt' is empty"),
    ([("1.png", picture(1)), ("1.txt", b"\xff")], "txt is not UTF-8"),
    ([("1.png", picture(1)), ("1.json", b"{")], "bad JSON"),
    ([("1.png", picture(1)), ("1.json", b"\xff")], "not UTF-8"),
    ([("1.png", picture(1)), ("1.json", b"[]")], "a list where an object with the field 'caption' is expected"),
    ([("1.png", picture(1)), ("1.json", b'{"url": ""}')], "no field 'text'; its fields are 'url'"),
    ([("1.png", picture(1)), ("1.json", b'{"caption": null}')], "'caption' is null, not text"),
    ([("1.png", b""), ("1.txt", b"t")], "picture is empty"),
    ([("1.png", picture(1)[:50]), ("1.txt", b"t")], "picture cannot be read"),
]


@pytest.mark.parametrize("files, reason", BAD)
def test_a_bad_sample_stops_with_its_place_and_reason_or_is_listed(tmp_path, files, reason):
    path = shard(tmp_path / "x.tar", [*good("0"), *files, *good("2")])
    with pytest.raises(ValueError, match=f"data: {path}, key 1: {reason}.*--skip-bad"):
        open_data(path)
    source = open_data(path, skip_bad=True)
    assert len(source) == 2 and [bad.where for bad in source.bad] == ["key 1"]


def test_files_of_a_sample_must_lie_side_by_side(tmp_path):
    (a, b), (c, d) = good("0"), good("1")
    with pytest.raises(ValueError, match=r"key 0: its files are png; a .txt"):
        open_data(shard(tmp_path / "x.tar", [a, c, b, d]))
    source = open_data(shard(tmp_path / "x.tar", [a, b, c, d, ("0.json", json.dumps({"caption": "late"}).encode())]), skip_bad=True)
    assert len(source) == 2 and "do not lie side by side; sort the tar" in source.bad[0].reason


def damaged(data: bytes) -> dict[str, bytes]:
    """A shard of three samples of four blocks each, broken in different ways after the second."""
    samples = 8 * tarfile.BLOCKSIZE
    broken_header = bytearray(data)
    broken_header[samples : samples + 100] = b"x" * 100
    return {
        "in a file": data[: samples + 600],
        "in a header": data[: samples + 100],
        "between files": data[:samples],
        "broken header": bytes(broken_header),
    }


@pytest.mark.parametrize("how", ["in a file", "in a header", "between files", "broken header"])
def test_a_damaged_shard_never_passes_for_a_shorter_one(tmp_path, how):
    whole = shard(tmp_path / "x.tar", [*good("0"), *good("1"), *good("2")]).read_bytes()
    (tmp_path / "x.tar").write_bytes(damaged(whole)[how])
    with pytest.raises(ValueError, match=r"x.tar, after .*: tar is damaged \(.*\); mend or remove"):
        open_data(tmp_path)
    source = open_data(tmp_path, skip_bad=True)
    assert len(source) == 2 and "tar is damaged" in source.bad[0].reason


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_tar_is_refused(tmp_path, data):
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(ValueError, match=r"x.tar, after the start: tar is damaged"):
        open_data(tmp_path / "x.tar")


def test_a_shard_without_samples_holds_no_rows(tmp_path):
    with pytest.raises(ValueError, match=r"x.tar holds no rows; at least one is needed"):
        open_data(shard(tmp_path / "x.tar", []))
