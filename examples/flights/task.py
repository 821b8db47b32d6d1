"""The task: which passengers' connections to protect, two hours before a flight leaves New York.

This is the one file a data scientist writes: `trainer run examples/flights/task.py`.
"""

from __future__ import annotations

from datetime import timedelta

from flights_data import load_flights
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from sidecar.signature import Field, Kind, Outside, Signature
from trainer.policy import Policy
from trainer.task import Candidate, Columns, ExpectedUtility, History, Task, Transform
from trainer.utility import Amount, CostTable

# --- What a request must bring: all of it known two hours before the scheduled departure -------------------

signature = Signature(
    (
        Field("minute_of_day", Kind.INTEGER, lower=0, upper=1439, unit="min, local"),
        Field("weekday", Kind.INTEGER, lower=0, upper=6, unit="0 is Monday"),
        Field("distance", lower=0, unit="mi"),
        Field("block_minutes", lower=0, unit="min, as scheduled"),
        # Departures that have already left: mean delay (missing when there was none) and how many.
        Field("origin_delay_2h", missing_allowed=True, unit="min"),
        Field("origin_count_2h", lower=0),
        Field("carrier_delay_4h", missing_allowed=True, unit="min"),
        Field("carrier_count_4h", lower=0),
        Field("dest_delay_6h", missing_allowed=True, unit="min"),
        Field("dest_count_6h", lower=0),
        Field("aircraft_delay_14h", missing_allowed=True, unit="min"),
        # Weather at the origin in the last full hour.
        Field("temp", missing_allowed=True, unit="F"),
        Field("dewp", missing_allowed=True, unit="F"),
        Field("humid", missing_allowed=True, unit="%"),
        Field("wind_dir", missing_allowed=True, unit="deg"),
        # The station once reported 1,048 mph; above 150 the instrument is wrong, not the caller.
        Field("wind_speed", missing_allowed=True, upper=150, outside=Outside.MISSING, unit="mph"),
        Field("wind_gust", missing_allowed=True, unit="mph"),
        Field("precip", missing_allowed=True, unit="in"),
        Field("pressure", missing_allowed=True, unit="mbar"),
        Field("visib", missing_allowed=True, unit="mi"),
        # The aircraft.
        Field("seats", missing_allowed=True, lower=1),
        Field("plane_age", missing_allowed=True, lower=0, unit="years"),
        Field("origin", Kind.TEXT),
        Field("carrier", Kind.TEXT),
        Field("dest", Kind.TEXT),
    )
)
NUMBERS = tuple(field.name for field in signature.numbers)
INTEGERS = tuple(field.name for field in signature.integers)
TEXTS = tuple(field.name for field in signature.texts)

# --- How fields become features ----------------------------------------------------------------------------

linear = Transform(
    (
        Columns(NUMBERS, make_pipeline(SimpleImputer(strategy="median"), StandardScaler())),
        Columns(("minute_of_day",), StandardScaler()),
        Columns(("weekday",), OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        Columns(TEXTS, OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    )
)
codes = Columns(TEXTS, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1))
trees = Transform((Columns(NUMBERS), Columns(INTEGERS), codes))  # missing stays missing
# scikit-learn fits forests on missing values several times slower, so here they become a number far below all
# others.
trees_imputed = Transform(
    (Columns(NUMBERS, SimpleImputer(strategy="constant", fill_value=-1000.0)), Columns(INTEGERS), codes)
)

# --- What to try -------------------------------------------------------------------------------------------

candidates = {
    "logistic": Candidate(lambda: LogisticRegression(max_iter=1000), linear),
    "boosting": Candidate(lambda: HistGradientBoostingClassifier(random_state=0), trees),
    "big_forest": Candidate(
        lambda: RandomForestClassifier(
            n_estimators=300, min_samples_leaf=5, max_samples=0.2, n_jobs=-1, random_state=0
        ),
        trees_imputed,
    ),
    "boosting_balanced": Candidate(
        lambda: HistGradientBoostingClassifier(class_weight="balanced", random_state=0), trees
    ),
}

# --- What decisions are worth ------------------------------------------------------------------------------

# Assumptions: 83 % of the seats are taken and a quarter of those passengers connect. Protecting them costs
# 100 dollars a flight and 12 a passenger. Where it was needed it saves each an hour, net, at the 47 dollars
# that airlines publish as the cost of a passenger's delay.
CONNECTING_PER_SEAT = 0.83 * 0.25
PROTECT_FLIGHT, PROTECT_PASSENGER, SAVED_PASSENGER = 100.0, 12.0, 47.0
FLEET_MEDIAN_SEATS = 149.0  # what an aircraft of unknown size counts as


def _per_seat(dollars: float) -> Amount:
    return Amount(
        constant=-PROTECT_FLIGHT,
        per={"seats": dollars * CONNECTING_PER_SEAT},
        missing={"seats": FLEET_MEDIAN_SEATS},
    )


costs = CostTable(
    act_positive=_per_seat(SAVED_PASSENGER - PROTECT_PASSENGER),
    act_negative=_per_seat(-PROTECT_PASSENGER),
    pass_positive=Amount(),
    pass_negative=Amount(),
    currency="USD",
    version="connections-1",
    largest_loss=3_200.0,  # the connections of the largest aircraft there is, with 450 seats, missed
)


def history() -> History:
    """Every flight of the year; the trainer takes those whose label was known at its cut-off."""
    flights = load_flights()
    return History(
        columns=flights.columns,
        label=flights.label,
        event_ns=flights.event_ns,
        known_ns=flights.known_ns,
        request_ids=flights.request_ids.tolist(),
    )


task = Task(
    name="flights",
    signature=signature,
    candidates=candidates,
    champion="logistic",
    costs=costs,
    decision=ExpectedUtility(),
    maturity=timedelta(hours=36),  # the longest wait of the year is under 35 hours
    holdout=timedelta(days=14),
    policy=Policy(
        # A shadow shares its core, so even the champion's copy there has a p99 of 1.4 times the champion's.
        latency_budget_times=2,
        # All 1,015 flights of the busiest day protected in vain, at 471 dollars each in the mean.
        largest_unit_loss=480_000,
        min_rows=5_000,
    ),
    history=history,
)
