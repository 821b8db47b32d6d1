"""What is tried for the conformance page: rows of every kind, steps and estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sidecar.signature import Blocks, Field, Kind, Outside, Signature, flag
from trainer.steps.cross import Cross
from trainer.steps.integer_parts import IntegerParts
from trainer.steps.timestamps import PARTS, PERIODS, TimestampParts
from trainer.steps.words import Words
from trainer.task import Columns, Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROWS = 10_000
_MISSING = 0.1
SIGNATURE = Signature(
    (
        Field("amount", lower=0, upper=1e6),
        Field("level", lower=-100, upper=100),
        Field("anything"),
        Field("age", missing_allowed=True, lower=0, upper=120),
        Field("pressure", missing_allowed=True, lower=900, upper=1100, outside=Outside.MISSING),
        flag("member"),
        flag("opted_in", missing_allowed=True),
        Field("count", Kind.INTEGER, lower=0, upper=1000),
        Field("at", Kind.INTEGER),
        Field("account", Kind.INTEGER),
        Field("city", Kind.TEXT, missing_allowed=True),
        Field("channel", Kind.TEXT),
    )
)
_GAPS, _FULL = ("age", "pressure"), ("amount", "level")
_TEXTS = ("city", "channel")


@dataclass(frozen=True)
class StepCase:
    """A step on fields. name: as the page shows it."""

    name: str
    step: Any
    fields: tuple[str, ...]


@dataclass(frozen=True)
class EstimatorCase:
    """A fresh estimator on the features of a transform. name: as the page shows it."""

    name: str
    make: Callable[[], Any]
    transform: Transform


def make_rows(rows: int) -> tuple[Blocks, NDArray[np.float64]]:
    """Draw raw rows and labels, 0 or 1; the first of many rows are those of few."""
    rng = np.random.default_rng(20_240_601)
    amount = np.minimum(rng.lognormal(4, 1.5, rows), 1e6)
    level, anything = rng.normal(0, 20, rows).clip(-100, 100), rng.normal(1e4, 3, rows)
    age, pressure = rng.uniform(18, 90, rows), rng.normal(1013, 40, rows)
    age[rng.random(rows) < _MISSING] = np.nan
    pressure[rng.random(rows) < _MISSING] = np.nan
    member = rng.integers(0, 2, rows)
    opted_in = rng.choice([0.0, 1.0, np.nan], rows)
    count = rng.poisson(20, rows)
    at = rng.integers(-(10**9), 2 * 10**9, rows)
    account = rng.integers(-(2**60), 2**60, rows)
    city = [f"city {min(int(value), 60)}" for value in rng.exponential(8, rows)]
    city = ["" if value == "city 3" else value for value in city]
    channel = rng.choice(np.array(["web", "shop", "phone"], object), rows)
    logit = level / 20 + np.nan_to_num(age - 50) / 20 + (channel == "web") + member - count / 20
    label = (logit + rng.logistic(size=rows) > 0).astype(np.float64)
    columns: dict[str, Any] = {
        "amount": amount,
        "level": level,
        "anything": anything,
        "age": age,
        "pressure": pressure,
        "member": member,
        "opted_in": opted_in,
        "count": count,
        "at": at,
        "account": account,
        "city": city,
        "channel": channel,
    }
    return SIGNATURE.pack_columns(columns), label


def _one_hot(**settings: Any) -> OneHotEncoder:
    return OneHotEncoder(sparse_output=False, **{"handle_unknown": "ignore", **settings})


def _ordinal(**settings: Any) -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **settings)


def _bins(**settings: Any) -> KBinsDiscretizer:
    return KBinsDiscretizer(10, quantile_method="averaged_inverted_cdf", **settings)


def _after_imputer(step: Any) -> Any:
    return make_pipeline(SimpleImputer(strategy="median"), step)


STEPS: tuple[StepCase, ...] = (
    StepCase("passthrough (numbers, missing stays missing)", "passthrough", (*_GAPS, *_FULL, "anything")),
    StepCase("passthrough (a flag)", "passthrough", ("member",)),
    StepCase("passthrough (a flag that may be missing)", "passthrough", ("opted_in",)),
    StepCase("passthrough (an integer with bounds within 2^24)", "passthrough", ("count",)),
    StepCase("passthrough (an integer without bounds)", "passthrough", ("account",)),
    StepCase("passthrough (text)", "passthrough", ("city",)),
    StepCase("SimpleImputer()", SimpleImputer(), _GAPS),
    StepCase("SimpleImputer(strategy='median')", SimpleImputer(strategy="median"), _GAPS),
    StepCase("SimpleImputer(strategy='most_frequent')", SimpleImputer(strategy="most_frequent"), _GAPS),
    StepCase("SimpleImputer(strategy='constant')", SimpleImputer(strategy="constant", fill_value=-1), _GAPS),
    StepCase("SimpleImputer(add_indicator=True)", SimpleImputer(add_indicator=True), _GAPS),
    StepCase("SimpleImputer > StandardScaler", _after_imputer(StandardScaler()), (*_GAPS, *_FULL)),
    StepCase(
        "SimpleImputer(missing_values='') > OneHotEncoder",
        make_pipeline(SimpleImputer(missing_values="", strategy="most_frequent"), _one_hot()),
        _TEXTS,
    ),
    StepCase("KNNImputer()", KNNImputer(), _GAPS),
    StepCase("MissingIndicator()", MissingIndicator(), _GAPS),
    StepCase("StandardScaler()", StandardScaler(), (*_FULL, "anything")),
    StepCase("StandardScaler() (integers of any size)", StandardScaler(), ("count", "at")),
    StepCase("MinMaxScaler()", MinMaxScaler(), _FULL),
    StepCase("MinMaxScaler(clip=True)", MinMaxScaler(clip=True), _FULL),
    StepCase("MaxAbsScaler()", MaxAbsScaler(), _FULL),
    StepCase("RobustScaler()", RobustScaler(), _FULL),
    StepCase("Normalizer()", Normalizer(), _FULL),
    StepCase("Binarizer(threshold=12.3)", Binarizer(threshold=12.3), _FULL),
    StepCase("KBinsDiscretizer(encode='ordinal')", _bins(encode="ordinal"), _FULL),
    StepCase("KBinsDiscretizer(encode='onehot')", _bins(encode="onehot"), (*_FULL,)),
    StepCase("KBinsDiscretizer (integers within 2^24)", _bins(encode="ordinal"), ("count",)),
    StepCase("PolynomialFeatures(2)", PolynomialFeatures(2, include_bias=False), _FULL),
    StepCase("QuantileTransformer(n_quantiles=500)", QuantileTransformer(n_quantiles=500), _FULL),
    StepCase(
        "QuantileTransformer(output_distribution='normal')",
        QuantileTransformer(n_quantiles=500, output_distribution="normal"),
        _FULL,
    ),
    StepCase("PowerTransformer()", PowerTransformer(), _FULL),
    StepCase("SplineTransformer()", SplineTransformer(), _FULL),
    StepCase("FunctionTransformer()", FunctionTransformer(), _FULL),
    StepCase("FunctionTransformer(np.log1p)", FunctionTransformer(np.log1p), ("amount",)),
    StepCase("FunctionTransformer(np.sqrt)", FunctionTransformer(np.sqrt), ("amount",)),
    StepCase("FunctionTransformer(np.abs)", FunctionTransformer(np.abs), ("level",)),
    StepCase("FunctionTransformer(np.square)", FunctionTransformer(np.square), ("level",)),
    StepCase("FunctionTransformer(np.cbrt)", FunctionTransformer(np.cbrt), ("level",)),
    StepCase("PCA(2)", PCA(2), _FULL),
    StepCase("VarianceThreshold()", VarianceThreshold(), _FULL),
    StepCase("SelectKBest(k=1)", SelectKBest(k=1), _FULL),
    StepCase("OneHotEncoder(handle_unknown='ignore')", _one_hot(), _TEXTS),
    StepCase("OneHotEncoder(handle_unknown='error')", OneHotEncoder(), _TEXTS),
    StepCase("OneHotEncoder(drop='first')", _one_hot(drop="first"), _TEXTS),
    StepCase("OneHotEncoder(min_frequency=100)", _one_hot(min_frequency=100), _TEXTS),
    StepCase(
        "OneHotEncoder(handle_unknown='infrequent_if_exist', max_categories=10)",
        _one_hot(handle_unknown="infrequent_if_exist", max_categories=10),
        _TEXTS,
    ),
    StepCase("OneHotEncoder (integers)", _one_hot(), ("count",)),
    StepCase("OneHotEncoder (numbers, missing among them)", _one_hot(), ("opted_in",)),
    StepCase("OrdinalEncoder(handle_unknown='use_encoded_value')", _ordinal(), _TEXTS),
    StepCase("OrdinalEncoder(handle_unknown='error')", OrdinalEncoder(), _TEXTS),
    StepCase("OrdinalEncoder(min_frequency=100)", _ordinal(min_frequency=100), _TEXTS),
    StepCase("OrdinalEncoder (integers)", _ordinal(), ("count",)),
    StepCase("TargetEncoder()", TargetEncoder(), _TEXTS),
    StepCase("TargetEncoder() (integers)", TargetEncoder(), ("count",)),
    StepCase("TargetEncoder > StandardScaler", make_pipeline(TargetEncoder(), StandardScaler()), _TEXTS),
    StepCase(
        "Cross > OneHotEncoder(min_frequency=20)", make_pipeline(Cross(), _one_hot(min_frequency=20)), _TEXTS
    ),
    StepCase("Cross > TargetEncoder", make_pipeline(Cross(), TargetEncoder()), _TEXTS),
    StepCase("TimestampParts(every part and cycle)", TimestampParts(PARTS, tuple(PERIODS)), ("at",)),
    StepCase(
        "TimestampParts(unit='ms', utc_offset_minutes=-300)",
        TimestampParts(unit="ms", utc_offset_minutes=-300),
        ("at",),
    ),
    StepCase(
        "TimestampParts(('weekday',)) > OneHotEncoder",
        make_pipeline(TimestampParts(("weekday",)), _one_hot()),
        ("at",),
    ),
    StepCase("IntegerParts()", IntegerParts(), ("account",)),
    StepCase("Words(most=20)", Words(most=20), _TEXTS),
    StepCase("CountVectorizer()", CountVectorizer(), ("city",)),
    StepCase("TfidfVectorizer()", TfidfVectorizer(), ("city",)),
    StepCase("HashingVectorizer()", HashingVectorizer(), ("city",)),
)

LINEAR = Transform(
    (
        Columns((*_GAPS, *_FULL), _after_imputer(StandardScaler())),
        Columns(("member",)),
        Columns(_TEXTS, _one_hot(min_frequency=100)),
    )
)
WITH_GAPS = Transform(
    (Columns((*_GAPS, *_FULL, "opted_in")), Columns(("count", "member")), Columns(_TEXTS, _ordinal()))
)


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(50, max_depth=10)


ESTIMATORS: tuple[EstimatorCase, ...] = (
    EstimatorCase("LogisticRegression", lambda: LogisticRegression(max_iter=1000), LINEAR),
    EstimatorCase(
        "LogisticRegressionCV",
        lambda: LogisticRegressionCV(max_iter=1000, use_legacy_attributes=False),
        LINEAR,
    ),
    EstimatorCase("SGDClassifier(loss='log_loss')", lambda: SGDClassifier(loss="log_loss"), LINEAR),
    EstimatorCase(
        "DecisionTreeClassifier, missing values", lambda: DecisionTreeClassifier(max_depth=10), WITH_GAPS
    ),
    EstimatorCase("RandomForestClassifier, missing values", _forest, WITH_GAPS),
    EstimatorCase(
        "ExtraTreesClassifier, missing values", lambda: ExtraTreesClassifier(50, max_depth=10), WITH_GAPS
    ),
    EstimatorCase("GradientBoostingClassifier", lambda: GradientBoostingClassifier(n_estimators=50), LINEAR),
    EstimatorCase(
        "GradientBoostingClassifier(loss='exponential')",
        lambda: GradientBoostingClassifier(n_estimators=5, loss="exponential"),
        LINEAR,
    ),
    EstimatorCase(
        "HistGradientBoostingClassifier, missing values", HistGradientBoostingClassifier, WITH_GAPS
    ),
    EstimatorCase(
        "HistGradientBoostingClassifier(categorical_features=...)",
        lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features=[7, 8]),
        WITH_GAPS,
    ),
    EstimatorCase(
        "CalibratedClassifierCV(method='sigmoid')",
        lambda: CalibratedClassifierCV(LogisticRegression(), method="sigmoid", cv=3),
        LINEAR,
    ),
    EstimatorCase(
        "CalibratedClassifierCV(method='isotonic')",
        lambda: CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3),
        LINEAR,
    ),
    EstimatorCase(
        "CalibratedClassifierCV(method='temperature')",
        lambda: CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=3),
        LINEAR,
    ),
    EstimatorCase("AdaBoostClassifier", lambda: AdaBoostClassifier(n_estimators=10), LINEAR),
    EstimatorCase("BaggingClassifier", lambda: BaggingClassifier(n_estimators=5), LINEAR),
    EstimatorCase(
        "VotingClassifier(voting='soft', flatten_transform=False)",
        lambda: VotingClassifier(
            [("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", flatten_transform=False
        ),
        LINEAR,
    ),
    EstimatorCase(
        "StackingClassifier",
        lambda: StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], cv=2),
        LINEAR,
    ),
    EstimatorCase("MLPClassifier", lambda: MLPClassifier((16,), max_iter=50), LINEAR),
    EstimatorCase("GaussianNB", GaussianNB, LINEAR),
    EstimatorCase("BernoulliNB", BernoulliNB, LINEAR),
    EstimatorCase("KNeighborsClassifier", KNeighborsClassifier, LINEAR),
    EstimatorCase("LinearDiscriminantAnalysis", LinearDiscriminantAnalysis, LINEAR),
    EstimatorCase("SVC", SVC, LINEAR),
)
