"""What our own steps compute, and that the graph computes the same."""

from datetime import UTC, datetime, timedelta

import numpy as np
import onnx
import pytest
from export_rows import BLOCKS, LABEL, ROWS, SIGNATURE, fitted
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)

from sidecar.session import feed, open_session
from sidecar.signature import Blocks, Field, Kind, Signature
from trainer.crossfit import training_features
from trainer.errors import ExportError
from trainer.export import compute_features, export_transform
from trainer.steps.cross import Cross
from trainer.steps.integer_parts import IntegerParts
from trainer.steps.timestamps import PARTS, PERIODS, TimestampParts
from trainer.steps.words import Words
from trainer.task import Columns, Transform
from trainer.transform import fit_transform

KNOWN = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
IGNORE = {"handle_unknown": "ignore", "sparse_output": False}
RARE = {"handle_unknown": "infrequent_if_exist", "sparse_output": False}


def rare_blocks():
    """Categories of every frequency, and numbers that are categories."""
    rng = np.random.default_rng(11)
    texts = np.array([f"c{min(int(value), 40)}" for value in rng.exponential(6, 2 * ROWS)], object)
    integers = np.stack([rng.integers(0, 7, ROWS), rng.integers(-(2**40), 2**40, ROWS)], axis=1)
    return Blocks(BLOCKS.numbers, integers, texts.reshape(ROWS, 2))


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        (("origin", "carrier"), OneHotEncoder(**RARE, min_frequency=100)),
        (("origin", "carrier"), OneHotEncoder(**RARE, max_categories=5)),
        (("origin", "carrier"), OneHotEncoder(**IGNORE, max_categories=5)),
        (("origin", "carrier"), OneHotEncoder(**IGNORE, drop="first")),
        (("origin",), OneHotEncoder(**RARE, min_frequency=100, drop="first")),
        (("origin", "carrier"), OrdinalEncoder(**KNOWN, min_frequency=100)),
        (("carrier", "origin"), OrdinalEncoder(**KNOWN, max_categories=4)),
        (("origin", "carrier"), Words(most=7)),
        (("carrier",), make_pipeline(Words(), StandardScaler())),
        (("origin", "carrier"), TargetEncoder()),
        (("origin", "carrier"), make_pipeline(TargetEncoder(), StandardScaler())),
        (("origin", "carrier"), make_pipeline(OneHotEncoder(**IGNORE), StandardScaler())),
        (("carrier",), make_pipeline(OrdinalEncoder(**KNOWN), OneHotEncoder(**IGNORE))),
        (
            ("origin", "carrier"),
            make_pipeline(
                SimpleImputer(missing_values="", strategy="constant", fill_value="c1"),
                OneHotEncoder(**IGNORE),
            ),
        ),
        (("origin", "carrier"), make_pipeline(Cross(), OneHotEncoder(**RARE, min_frequency=20))),
        (("origin", "carrier"), make_pipeline(Cross(), OrdinalEncoder(**KNOWN))),
        (("carrier", "origin"), make_pipeline(Cross(), TargetEncoder(), StandardScaler())),
        (("minute",), OneHotEncoder(**IGNORE)),
        (("minute",), OneHotEncoder(**RARE, max_categories=3)),
        (("minute",), OrdinalEncoder(**KNOWN)),
        (("minute",), TargetEncoder()),
        (("stamp",), make_pipeline(TimestampParts(("weekday",)), OneHotEncoder(**IGNORE))),
        (("minute",), KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf")),
    ],
    ids=lambda value: str(value).replace("\n", "")[:60],
)
def test_categories_become_what_the_encoder_says(fields, step):
    bounded = bounded_minute()
    blocks = rare_blocks()
    transform = fit_transform(Transform((Columns(fields, step),)), bounded, blocks, LABEL)
    asked = Blocks(blocks.numbers, blocks.integers.copy(), blocks.texts.copy())
    asked.texts[:50] = "unseen"
    asked.texts[50:100, 0] = ""
    asked.integers[:50, 0] = -3
    got = compute_features(export_transform(transform), asked)
    assert got.shape[1] == len(transform.feature_names)
    np.testing.assert_allclose(got, transform.reference(asked), rtol=1e-6, atol=1e-6)


def bounded_minute():
    return Signature(
        tuple(
            Field("minute", Kind.INTEGER, lower=-10, upper=10) if field.name == "minute" else field
            for field in SIGNATURE.fields
        )
    )


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        (("a", "pressure"), SimpleImputer(add_indicator=True)),
        (("a", "stake"), MissingIndicator()),
        (("a", "stake"), MissingIndicator(features="all")),
        (("a", "stake"), make_pipeline(SimpleImputer(), MinMaxScaler(feature_range=(-2, 3), clip=True))),
        (("a", "stake"), make_pipeline(SimpleImputer(), MaxAbsScaler(), "passthrough")),
        (("stake",), Binarizer(threshold=0.1)),
        (("stake",), FunctionTransformer(np.log1p)),
        (("stake",), make_pipeline(FunctionTransformer(np.sqrt), StandardScaler())),
        (("stake",), FunctionTransformer()),
        (
            ("stake", "stake"),
            KBinsDiscretizer(7, encode="onehot", quantile_method="averaged_inverted_cdf"),
        ),
        (("stake", "a"), make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=400))),
        (("stake",), make_pipeline(FunctionTransformer(np.sqrt), QuantileTransformer(n_quantiles=9))),
        (("stamp", "minute"), StandardScaler()),
        (("stamp",), IntegerParts()),
        (("stamp", "minute"), TimestampParts(PARTS, tuple(PERIODS), utc_offset_minutes=-300)),
    ],
    ids=lambda value: str(value).replace("\n", "")[:60],
)
def test_numbers_become_what_scikit_learn_says(fields, step):
    transform = fitted(Columns(fields, step))
    got = compute_features(export_transform(transform), BLOCKS)
    wanted = transform.reference(BLOCKS)
    assert got.shape == (ROWS, len(transform.feature_names))
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("encode", ["ordinal", "onehot-dense"])
def test_a_number_on_an_edge_falls_into_the_same_bin(encode):
    # Edges lie between neighbouring floats, so that rounding one either way would move a number.
    steps = np.spacing(np.float32(1000)) * np.arange(40, dtype=np.float32)
    blocks = Blocks(BLOCKS.numbers.copy(), BLOCKS.integers, BLOCKS.texts)
    blocks.numbers[:, 2] = np.resize(np.float32(1000) + steps, ROWS)
    bins = KBinsDiscretizer(6, encode=encode, strategy="uniform")
    transform = fit_transform(Transform((Columns(("stake",), bins),)), SIGNATURE, blocks, LABEL)
    got = compute_features(export_transform(transform), blocks)
    assert np.array_equal(got, transform.reference(blocks))


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_timestamp_parts_agree_with_datetime(unit, scale):
    rng = np.random.default_rng(2)
    seconds = np.concatenate([rng.integers(-8 * 10**9, 8 * 10**9, ROWS - 4), [0, -1, 951_782_399, -86_400]])
    within = rng.integers(0, scale, ROWS)
    blocks = Blocks(BLOCKS.numbers, BLOCKS.integers.copy(), BLOCKS.texts)
    blocks.integers[:, 1] = seconds * scale + within
    step = TimestampParts(PARTS, unit=unit, utc_offset_minutes=330)
    transform = fit_transform(Transform((Columns(("stamp",), step),)), SIGNATURE, blocks, LABEL)
    got = compute_features(export_transform(transform), blocks)
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=330)
    for row in [*range(0, ROWS, 7), *range(ROWS - 4, ROWS)]:
        moment = start + timedelta(seconds=int(seconds[row]))
        minute = 60 * moment.hour + moment.minute
        assert got[row].tolist() == [
            60 * minute + moment.second,
            minute,
            1440 * moment.weekday() + minute,
            moment.hour,
            moment.weekday(),
            moment.day,
            moment.timetuple().tm_yday,
            moment.month,
            moment.year,
        ]


def test_cycles_close():
    step = TimestampParts((), ("hour", "weekday"))
    # Half past eleven of a Sunday night, and an hour later.
    late, later = step.fit_transform(np.array([[3 * 86_400 + 23 * 3600 + 1800], [4 * 86_400 + 1800]]))
    assert np.hypot(late[0] - later[0], late[1] - later[1]) == pytest.approx(2 * np.sin(np.pi / 24), rel=1e-6)
    assert np.hypot(late[2] - later[2], late[3] - later[3]) == pytest.approx(2 * np.sin(np.pi / 7), rel=1e-6)
    assert step.get_feature_names_out(["at"]).tolist() == [
        "at_hour_sin",
        "at_hour_cos",
        "at_weekday_sin",
        "at_weekday_cos",
    ]


def test_integer_parts_keep_every_digit():
    digits = np.array([2**63 - 1, -(2**63), 2**53 + 1, 2**24 + 1, -1, 0])
    blocks = BLOCKS.take(list(range(len(digits))))
    blocks.integers[:, 1] = digits
    transform = fit_transform(Transform((Columns(("stamp",), IntegerParts()),)), SIGNATURE, blocks, LABEL[:6])
    high, middle, low = compute_features(export_transform(transform), blocks).astype(object).T
    assert [
        (int(h) * 2**24 + int(m)) * 2**24 + int(low_) for h, m, low_ in zip(high, middle, low, strict=True)
    ] == (digits.tolist())


@pytest.mark.parametrize(
    ("fields", "step", "says"),
    [
        (("stamp",), "passthrough", "integer 'stamp' may exceed 16,777,216.*TimestampParts, IntegerParts"),
        (
            ("minute", "stamp"),
            KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"),
            "integer 'stamp' may exceed",
        ),
        (("a",), TimestampParts(), "TimestampParts cannot be fitted: integers are needed"),
        (("stamp",), TimestampParts(("moon",)), "no part 'moon'; use second_of_day"),
        (("stamp",), TimestampParts(unit="h"), "no unit 'h'; use s, ms"),
        (("stamp",), TimestampParts((), ()), "nothing to compute"),
        (("carrier",), make_pipeline(Cross(), OneHotEncoder(**IGNORE)), "a cross needs at least two fields"),
        (("carrier", "origin"), Cross(), "text cannot pass through; end with an encoder"),
        (("carrier",), CountVectorizer(), "CountVectorizer of text has no export"),
        (
            ("carrier", "origin"),
            make_pipeline(SimpleImputer(missing_values=""), Cross(), OrdinalEncoder(**KNOWN)),
            "Cross must be the first step",
        ),
    ],
)
def test_what_a_step_cannot_do_is_refused_by_name(fields, step, says):
    with pytest.raises(ExportError, match=says):
        export_transform(fitted(Columns(fields, step)))


def test_words_are_counted_as_they_stand_between_blanks():
    blocks = BLOCKS.take(list(range(6)))
    texts = ["late bus late", " late  bus ", "Late, bus", "", " ", "latebus"]
    blocks.texts[:, 0] = texts
    transform = fit_transform(Transform((Columns(("origin",), Words(most=2)),)), SIGNATURE, blocks, LABEL[:6])
    assert transform.feature_names == ("origin_bus", "origin_late")
    session = open_session(export_transform(transform))
    wanted = [[1, 2], [1, 1], [1, 0], [0, 0], [0, 0], [0, 0]]
    for start in range(6):  # the longest text is another each time, at last one without any word
        (got,) = session.run(["features"], feed(blocks.take(slice(start, None))))
        assert got.tolist() == wanted[start:]


def test_a_text_with_the_sign_of_the_cross_is_refused():
    with pytest.raises(ValueError, match="joins the fields"):
        Cross().fit(np.array([["a\u00d7b", "c"]], object))
    crossed = Cross().fit(np.array([["a", "b"]], object))
    assert crossed.split(crossed.transform(np.array([["a", "b"]], object))[0, 0]) == ("a", "b")


def nodes(transform, **how):
    return [node.op_type for node in onnx.load_from_string(export_transform(transform, **how)).graph.node]


def test_columns_of_one_form_go_through_the_same_nodes():
    """Twenty sets of one column each cost what one set of twenty costs."""
    fill = make_pipeline(SimpleImputer(), StandardScaler())
    transform = fitted(
        Columns(("a",), fill),
        Columns(("carrier",), OrdinalEncoder(**KNOWN)),
        Columns(("pressure",), fill),
        Columns(("minute",), StandardScaler()),
        Columns(("origin",), OrdinalEncoder(**KNOWN)),
        Columns(("stake",)),
        Columns(("minute",)),
    )
    blocked = nodes(transform)
    assert blocked.count("Imputer") == blocked.count("Scaler") == blocked.count("LabelEncoder") == 1
    assert len(blocked) <= 17
    assert len(nodes(transform, blocked=False)) > len(blocked) + 5
    one, other = (
        compute_features(export_transform(transform, blocked=blocked), BLOCKS) for blocked in (True, False)
    )
    assert one.tobytes() == other.tobytes()
    np.testing.assert_allclose(one, transform.reference(BLOCKS), rtol=1e-6, atol=1e-6)


def test_many_categories_have_a_dictionary_for_each_field(monkeypatch):
    columns = (
        Columns(("carrier", "origin"), OrdinalEncoder(**KNOWN)),
        Columns(("origin", "carrier"), OneHotEncoder(**RARE, min_frequency=100)),
    )
    transform = fit_transform(Transform(columns), SIGNATURE, rare_blocks(), LABEL)
    together = export_transform(transform)
    monkeypatch.setattr(
        "trainer.steps.encoded.MOST_ENTRIES", 60
    )  # one field's categories, and not two fields'
    apart = export_transform(transform)
    assert nodes(transform).count("LabelEncoder") == 2
    assert (
        compute_features(apart, rare_blocks()).tobytes()
        == compute_features(together, rare_blocks()).tobytes()
    )
    monkeypatch.setattr("trainer.steps.encoded.MOST_ENTRIES", 30)
    with pytest.raises(ExportError, match="39 categories in 1 fields need too large a table; group rare"):
        export_transform(transform)


def test_the_training_matrix_of_a_target_encoder_does_not_know_its_own_labels():
    noise = np.random.default_rng(5)
    texts = np.array([f"id{number}" for number in range(ROWS // 2)], object)
    blocks = Blocks(
        BLOCKS.numbers, BLOCKS.integers, np.stack([np.resize(texts, ROWS), BLOCKS.texts[:, 1]], axis=1)
    )
    label = noise.integers(0, 2, ROWS).astype(np.float64)
    columns = (Columns(("origin",), TargetEncoder(smooth=1.0)), Columns(("a", "stake"), SimpleImputer()))
    transform = fit_transform(Transform(columns), SIGNATURE, blocks, label)
    exported = export_transform(transform)
    knowing = compute_features(exported, blocks)
    training = training_features(transform, exported, blocks, label)
    # Two rows a category: the encoder fitted on all rows gives away the label, the folds' encoders do not.
    assert np.corrcoef(knowing[:, 0], label)[0, 1] > 0.5
    assert abs(np.corrcoef(training[:, 0], label)[0, 1]) < 0.1
    assert training[:, 1:].tobytes() == knowing[:, 1:].tobytes()
    again = training_features(transform, exported, blocks, label)
    assert again.tobytes() == training.tobytes()


def test_every_batch_size_gives_the_same_bits():
    transform = fitted(
        Columns(
            ("a", "pressure", "stake"), make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
        ),
        Columns(("stake",), FunctionTransformer(np.log1p)),
        Columns(("stamp",), TimestampParts(("hour",), ("day_of_year",))),
        Columns(("carrier", "origin"), make_pipeline(Cross(), TargetEncoder())),
        Columns(("carrier", "origin"), OneHotEncoder(**RARE, min_frequency=800)),
    )
    session = open_session(export_transform(transform))
    (together,) = session.run(["features"], feed(BLOCKS))
    for size in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 1000):
        for start in range(0, min(ROWS, 40 * size), size):
            rows = slice(start, start + size)
            (part,) = session.run(["features"], feed(BLOCKS.take(rows)))
            assert part.tobytes() == together[rows].tobytes(), size
