import csv
import json
from pathlib import Path

import pytest
from made_photos import encode, make_pixels

import stn_jax.config
from stn_jax.config import Config, ConfigError, DataConfig, ScinConfig
from stn_jax.data.builder import DataError, prepare, resolve_source
from stn_jax.data.scin import list_scin, parse_weights

GOOD, BAD = "DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT", "NO_IMAGE_QUALITY_INSUFFICIENT"
HEALTHY = "YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY"
CASE_HEADER = (
    "case_id,source,release,year,age_group,sex_at_birth,fitzpatrick_skin_type,"
    "race_ethnicity_white,textures_raised_or_bumpy,body_parts_arm,condition_symptoms_itching,"
    "other_symptoms_fever,related_category,condition_duration,image_1_path,image_2_path,"
    "image_3_path,image_1_shot_type,image_2_shot_type,image_3_shot_type"
)
LABEL_HEADER = (
    "case_id,dermatologist_gradable_for_skin_condition_1,"
    "dermatologist_gradable_for_skin_condition_2,dermatologist_gradable_for_skin_condition_3,"
    "dermatologist_skin_condition_on_label_name,dermatologist_skin_condition_confidence,"
    "weighted_skin_condition_label,dermatologist_gradable_for_fitzpatrick_skin_type_1,"
    "dermatologist_fitzpatrick_skin_type_label_1,gradable_for_monk_skin_tone_india,"
    "gradable_for_monk_skin_tone_us,monk_skin_tone_label_india,monk_skin_tone_label_us"
)


class Release:
    """A small release in the schema of the real one."""

    def __init__(self, root):
        self.root = root
        self.cases, self.labels = [], []
        (root / "images").mkdir(parents=True)

    def add(self, case, weights, *, votes=(GOOD, "", ""), photos=1, tone="3.0"):
        names = [f"-{case}{number}.png" for number in range(photos)]
        for number, name in enumerate(names):
            content = encode(make_pixels(10 * len(self.cases) + number))
            (self.root / "images" / name).write_bytes(content)
        paths = {f"image_{i}_path": f"dataset/images/{n}" for i, n in enumerate(names, start=1)}
        known = {"age_group": "AGE_30_TO_39", "sex_at_birth": "FEMALE"}
        self.cases.append(
            {"case_id": case, "source": "SCIN", "fitzpatrick_skin_type": "FST3", **known, **paths}
        )
        gradable = {
            f"dermatologist_gradable_for_skin_condition_{i}": vote
            for i, vote in enumerate(votes, start=1)
        }
        self.labels.append(
            {
                "case_id": case,
                "weighted_skin_condition_label": weights,
                "monk_skin_tone_label_us": tone,
                **gradable,
            }
        )

    def write(self):
        for name, header, rows in (
            ("scin_cases.csv", CASE_HEADER, self.cases),
            ("scin_labels.csv", LABEL_HEADER, self.labels),
        ):
            with (self.root / name).open("w", newline="") as file:
                table = csv.DictWriter(file, header.split(","), restval="")
                table.writeheader()
                table.writerows(rows)
        return self.root


@pytest.fixture
def release(tmp_path):
    made = Release(tmp_path / "scin")
    made.add("e", "{'Eczema': 0.69, 'Psoriasis': 0.08, 'Acute and chronic dermatitis': 0.23}")
    made.add("p", "{'Psoriasis': 1.0}", photos=3)
    return made


def listed(release, **options):
    return list_scin(release.write(), ScinConfig(**options))


def cases(listing):
    return {entry.group: entry.label for entry in listing.entries}


def test_a_case_is_a_group_with_its_foremost_condition_and_what_is_known_of_it(release):
    listing = listed(release)
    assert listing.classes == ("Eczema", "Psoriasis")
    assert cases(listing) == {"e": "Eczema", "p": "Psoriasis"}
    assert [entry.file for entry in listing.entries if entry.group == "p"] == [
        "images/-p0.png",
        "images/-p1.png",
        "images/-p2.png",
    ]
    assert listing.entries[0].metadata == {
        "age_group": "AGE_30_TO_39",
        "sex": "FEMALE",
        "skin_type": "FST3",
        "skin_tone": "3",
    }
    assert not listing.refused
    assert not listing.warnings


@pytest.mark.parametrize(
    ("weights", "votes", "taken"),
    [
        ("{'Eczema': 0.5, 'Urticaria': 0.3, 'Psoriasis': 0.2}", (GOOD, "", ""), True),
        ("{'Eczema': 0.49, 'Urticaria': 0.3, 'Psoriasis': 0.21}", (GOOD, "", ""), False),
        ("{'Eczema': 0.5, 'Psoriasis': 0.5}", (GOOD, "", ""), False),
        ("{'Urticaria': 0.6, 'Eczema': 0.4}", (GOOD, "", ""), False),
        ("{}", (GOOD, "", ""), False),
        ("", (GOOD, "", ""), False),
        ("{'Eczema': 1}", (BAD, "", GOOD), True),
        ("{'Eczema': 1.0}", (BAD, BAD, ""), False),
        ("{'Eczema': 1.0}", (HEALTHY, "", ""), False),
        ("{'Eczema': 1.0}", ("", "", ""), False),
        ("{'Eczema': 1.0}", ("True", "", ""), True),
    ],
)
def test_a_case_counts_when_its_condition_is_clear_and_its_photos_are_good(
    release, weights, votes, taken
):
    release.add("x", weights, votes=votes)
    assert ("x" in cases(listed(release))) == taken


def test_other_conditions_and_weights_can_be_asked_for(release):
    release.add("u", "{'Urticaria': 0.9, 'Eczema': 0.1}")
    listing = listed(release, conditions=("Urticaria", "Psoriasis"), min_weight=0.8)
    assert cases(listing) == {"u": "Urticaria", "p": "Psoriasis"}


@pytest.mark.parametrize(
    "text",
    ["__import__('os').abort()", "{'Eczema': open('x')}", "[1]", "{'Eczema': 'a lot'}", "{1: 1.0}",
     "{'Eczema': 1e999}", "{'Eczema': 0.5", "(" * 5000],
)  # fmt: skip
def test_a_label_is_a_literal_and_nothing_else(text):
    with pytest.raises(ValueError, match=r"not a (dictionary|condition and its weight)"):
        parse_weights(text)


def test_unreadable_labels_are_left_out_and_warned_of(release):
    release.add("x", "{'Eczema': 0.5")
    listing = listed(release)
    assert "x" not in cases(listing)
    assert listing.warnings == ("1 cases have unreadable labels, such as x",)


def test_photos_that_were_not_downloaded_are_refused(release):
    root = release.write()
    (root / "images" / "-p1.png").unlink()
    assert list_scin(root, ScinConfig()).refused == {
        "images/-p1.png": "no such file: was the download complete?"
    }


def test_a_path_of_the_table_cannot_lead_out_of_the_images(release):
    release.cases[0]["image_1_path"] = "dataset/images/../../../../etc/hostname"
    assert list(listed(release).refused) == ["images/hostname"]


def test_a_condition_without_cases_is_an_error_that_names_the_frequent_ones(release):
    with pytest.raises(DataError, match=r"conditions Acne: .* Eczema \(1\), Psoriasis \(1\)"):
        listed(release, conditions=("Acne", "Psoriasis"))


def test_missing_tables_and_columns_are_errors_that_say_where_to_get_them(release):
    root = release.write()
    (root / "scin_labels.csv").write_text("case_id\n1\n")
    with pytest.raises(DataError, match=r"scin_labels\.csv: no column dermatologist_gradable"):
        list_scin(root, ScinConfig())
    (root / "scin_labels.csv").unlink()
    with pytest.raises(DataError, match=r"no scin_labels\.csv in it; .* docs/data\.md"):
        list_scin(root, ScinConfig())
    with pytest.raises(DataError, match=r"--data\.root .*: no such folder; expected scin_cases"):
        resolve_source(DataConfig(source="scin", root=str(root / "absent")))


def test_a_table_that_may_not_be_read_is_named(release, tmp_path, monkeypatch):
    root, opening = release.write(), Path.open

    def refusing(path, *args, **options):
        if path.name == "scin_labels.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, *args, **options)

    monkeypatch.setattr(Path, "open", refusing)
    data = DataConfig(source="scin", root=str(root), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"/scin_labels\.csv: cannot be read \(Permission denied\)"):
        prepare(data)


def test_senseless_options_are_refused():
    with pytest.raises(ConfigError, match=r"--data\.scin\.conditions needs two or more"):
        Config(data=DataConfig(scin=ScinConfig(conditions=("Eczema", "Eczema"))))
    with pytest.raises(ConfigError, match=r"--data\.scin\.min-weight 0\.0 must"):
        Config(data=DataConfig(scin=ScinConfig(min_weight=0.0)))


def test_the_release_is_imported_like_any_folder(release, tmp_path):
    for number in range(12):
        release.add(f"e{number}", "{'Eczema': 1.0}", photos=2)
        release.add(f"p{number}", "{'Psoriasis': 0.8, 'Eczema': 0.2}")
    data = DataConfig(
        source="scin",
        root=str(release.write()),
        photo_size=(24, 36),
        cache_dir=str(tmp_path / "cache"),
    )
    dataset = prepare(data)
    homes = {}
    for split, source in dataset.splits.items():
        for item in source:
            assert homes.setdefault(item["group"], split) == split
            assert json.loads(item["metadata"])["skin_type"] == "FST3"
    assert len(homes) == 26


def test_the_configuration_is_the_papers_on_public_photos():
    configs = Path(__file__).parents[2] / "configs"
    scin, derm = (stn_jax.config.load(configs / f"{name}.py") for name in ("scin", "derm"))
    assert scin.data.source == "scin"
    assert scin.data.scin.conditions == ("Eczema", "Psoriasis")
    assert (scin.data.photo_size, scin.model) == (derm.data.photo_size, derm.model)
    assert scin.train == derm.train
