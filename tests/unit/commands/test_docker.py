from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from clusterctl.commands import docker
from clusterctl.model.errors import HostError, InputError
from clusterctl.model.facts import DockerFacts, ImageFacts
from clusterctl.model.playbook import Attachment
from clusterctl.testing import FakeDocker, FakeDoor

AT = {"host": "docker1", "title": "do it"}
HOSTILE = 'a\'; touch gone; "$(id)" `id` \n-x'


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (
            docker.CreateNetwork(
                **AT,
                name="n",
                driver="overlay",
                subnet="10.0.0.0/24",
                gateway="10.0.0.9",
                options={"o": "1 2"},
                labels={"l": "x"},
            ),
            "docker network create --driver overlay --subnet 10.0.0.0/24 --gateway 10.0.0.9 "
            "--opt 'o=1 2' --label l=x n",
        ),
        (
            docker.CreateNetwork(**AT, name="n", driver="bridge", subnet="10.0.0.0/24"),
            "docker network create --driver bridge --subnet 10.0.0.0/24 n",
        ),
        (docker.RemoveNetwork(**AT, name="n"), "docker network rm n"),
        (docker.Disconnect(**AT, network="n", endpoint="e"), "docker network disconnect --force n e"),
        (
            docker.RunContainer(
                **AT,
                name="c",
                image="i:1",
                argv=("sh", "-c", "a; b"),
                networks={"n": Attachment(), "m": Attachment()},
                labels={"l": "x"},
            ),
            "docker run --detach --name c --network n --label l=x i:1 sh -c 'a; b'\ndocker network connect m c",
        ),
        (
            docker.RunContainer(
                **AT,
                name="c",
                image="i:1",
                argv=(),
                networks={"n": Attachment()},
                capabilities=("NET_ADMIN",),
                sysctls={"net.ipv4.ip_forward": "1"},
            ),
            "docker run --detach --name c --network n --cap-add NET_ADMIN --sysctl net.ipv4.ip_forward=1 i:1",
        ),
        (
            docker.CreateNetwork(
                **AT,
                name="n",
                driver="macvlan",
                subnet="10.1.1.0/24",
                gateway="10.1.1.254",
                range="10.1.1.128/27",
                reserved={"docker1": "10.1.1.1"},
                options={"parent": "eth0.10"},
            ),
            "docker network create --driver macvlan --subnet 10.1.1.0/24 --gateway 10.1.1.254 "
            "--ip-range 10.1.1.128/27 --aux-address docker1=10.1.1.1 --opt parent=eth0.10 n",
        ),
        (docker.RemoveContainer(**AT, name="c"), "docker rm --force --volumes c"),
        (docker.PullImage(**AT, reference="r:1", tag="r:1"), "docker pull r:1"),
        (docker.PullImage(**AT, reference="r:1", tag="t"), "docker pull r:1\ndocker tag r:1 t"),
        (docker.LoadImage(**AT, archive="x/a b.tar"), "docker load --input '/tmp/a b.tar'"),
        (docker.RemoveImage(**AT, tag="t"), "docker image rm t"),
    ],
)
def test_a_deed_reads_as_one_would_type_it(action, line: str) -> None:
    assert action.shell() == line


@pytest.mark.parametrize(
    "action",
    [
        docker.CreateNetwork(
            **AT, name=HOSTILE, driver=HOSTILE, subnet=HOSTILE, gateway=HOSTILE, options={HOSTILE: HOSTILE}
        ),
        docker.RemoveNetwork(**AT, name=HOSTILE),
        docker.Disconnect(**AT, network=HOSTILE, endpoint=HOSTILE),
        docker.RunContainer(
            **AT, name=HOSTILE, image=HOSTILE, argv=(HOSTILE,), networks={HOSTILE: Attachment()}, labels={"l": HOSTILE}
        ),
        docker.RemoveContainer(**AT, name=HOSTILE),
        docker.PullImage(**AT, reference=HOSTILE, tag=HOSTILE),
        docker.LoadImage(**AT, archive=HOSTILE),
        docker.RemoveImage(**AT, tag=HOSTILE),
    ],
    ids=lambda a: type(a).__name__,
)
def test_a_hostile_value_stays_one_word(action) -> None:
    words = shlex.split(f"{action.here()} {action.shell()}")
    assert HOSTILE in words[2:] or any(w.endswith((f"={HOSTILE}", f"/{HOSTILE}")) for w in words)
    assert "touch" not in words


def test_the_image_is_built_from_words_not_from_text() -> None:
    command = docker.build_busybox(HOSTILE, "l=x")
    assert command.argv[-2:] == (HOSTILE, "l=x")
    assert HOSTILE not in command.argv[2]


def test_a_container_is_run_on_its_first_network_and_connected_to_the_rest() -> None:
    daemon = FakeDocker(state=DockerFacts("20.10.24", images=(ImageFacts("1", ("i",)),)))
    door = FakeDoor("docker1", docker=daemon)
    for network in ("n", "m"):
        docker.CreateNetwork(**AT, name=network, driver="bridge", subnet="10.0.0.0/24").perform(door)
    docker.RunContainer(**AT, name="c", image="i", argv=(), networks={"n": Attachment(), "m": Attachment()}).perform(
        door
    )
    assert daemon.calls[-2:] == ["run c", "connect c to m"]
    assert set(daemon.state.containers["c"].networks) == {"n", "m"}


def test_what_docker_refuses_is_an_error_of_the_host() -> None:
    with pytest.raises(HostError, match="network n not found"):
        docker.RunContainer(**AT, name="c", image="i", argv=(), networks={"n": Attachment()}).perform(
            FakeDoor("docker1")
        )


def test_an_archive_that_is_not_there_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tar: No such file"):
        docker.LoadImage(**AT, archive=str(tmp_path / "none.tar")).perform(FakeDoor())


def test_an_archive_is_loaded_whole(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x:1")
    door = FakeDoor()
    docker.LoadImage(**AT, archive=str(tmp_path / "a.tar")).perform(door)
    assert door.docker.state.has_image("x:1")
