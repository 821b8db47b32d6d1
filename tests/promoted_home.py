"""A home in which a candidate has become champion and is on probation."""

import shutil
from pathlib import Path

import small_task
from small_home import Home

TASK = str(Path(small_task.__file__))


def promoted_home(path):
    """The trees have replaced the line; `again` is another line."""
    home = Home(path)
    home.json("run", TASK)
    home.live(9)
    fitted = home.json("fit", TASK, "--snapshot", home.json("snapshot", TASK)["digest"])["fitted"]
    bundles = {one["recipe"]: one["bundle"] for one in fitted}
    with home.registry as registry:
        home.line = registry.champion().model.digest
    home.trees, home.again = bundles["trees"], bundles["line"]
    install(home, home.trees)
    return home


def copy_of(promoted, path):
    shutil.copytree(promoted.path, path, dirs_exist_ok=True)
    copy = Home(path)
    vars(copy).update({name: getattr(promoted, name) for name in ("next_day", "line", "trees", "again")})
    return copy


def with_policy(path, policy):
    """The task in the file at `path`, with these words more in its policy; gives the path."""
    path.write_text(Path(TASK).read_text().replace("slice_days=14", f"slice_days=14, {policy}"))
    return str(path)


def install(home, digest, *options):
    home.json("shadow", digest, *options)
    home.json("promote", digest, "--override", "--why", "we need it")


def judged(home, task_path=TASK, *options):
    """What `trainer probation` says of the only one that it judges."""
    (found,) = home.json("probation", task_path, *options)["probation"]
    return found


def states(home):
    with home.registry as registry:
        return {version.model.digest: version.state for version in registry.versions()}
