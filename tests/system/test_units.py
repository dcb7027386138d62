"""The systemd units, as `make install-systemd` writes them."""

import os
import pathlib
import re
import shutil
import subprocess

import pregon
import pytest

UNITS = ("pregon-broker.service", "pregon-gateway@.service", "pregon-feeder@.service")


def install(root, prefix):
    subprocess.run([os.path.join(pregon.ROOT, "tools", "install-units"), str(root), prefix, "/etc",
                    "/etc/systemd/system"], check=True)
    return root / "etc/systemd/system", root / "etc/pregon"


@pytest.fixture
def installed(tmp_path):
    (tmp_path / "prefix").mkdir()
    os.symlink(pregon.BIN, tmp_path / "prefix" / "bin")
    units, settings = install(tmp_path / "root", str(tmp_path / "prefix"))
    return units, settings


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_with_a_unit(installed, unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    units, _ = installed
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(units / unit)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    about_us = [line for line in done.stdout.splitlines() if "pregon" in line]
    assert (done.returncode, about_us) == (0, [])


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_well_locked_up(installed, unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    units, _ = installed
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=yes",
            "--threshold=20",
            "--no-pager",
            str(units / unit),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS)
def test_a_wrong_setting_is_not_tried_again_and_nothing_is_left_to_fill_in(installed, unit):
    text = (installed[0] / unit).read_text(encoding="utf-8")
    assert "\nRestart=on-failure\n" in text and "\nRestartPreventExitStatus=2\n" in text
    assert not re.search(r"@[A-Z]+@", text)


def test_a_killed_broker_can_see_that_the_machine_ran_on(installed):
    text = (installed[0] / "pregon-broker.service").read_text(encoding="utf-8")
    assert not re.search(r"^ProcSubset=pid", text, re.M), "it reads /proc/sys/kernel/random/boot_id"


def test_settings_that_are_there_survive_another_installation(tmp_path):
    _, settings = install(tmp_path, "/usr/local")
    mine = settings / "pregon.env"
    assert "STORE=sqlite:/var/lib/pregon/pregon.db" in mine.read_text(encoding="utf-8")
    mine.write_text("LOG_LEVEL=debug\n", encoding="utf-8")
    install(tmp_path, "/usr/local")
    assert mine.read_text(encoding="utf-8") == "LOG_LEVEL=debug\n"


def test_the_installed_recorded_feed_can_be_replayed(installed, system):
    text = (installed[1] / "feeder-recorded.env").read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    prefix = pathlib.Path(re.search(r"csv:(.*?)/share/", text)[1])
    (prefix / "share/pregon").mkdir(parents=True)
    os.symlink(pregon.DATA, prefix / "share/pregon/data")
    feeder = system.feeder(system.broker(), settings["SOURCE"], env={"LOOP": settings["LOOP"]})
    assert feeder.ready["feed"] == "feed"


@pytest.mark.parametrize("unit", UNITS)
def test_the_document_that_a_unit_names_is_one_that_is_installed(installed, unit):
    text = (installed[0] / unit).read_text(encoding="utf-8")
    (name,) = re.findall(r"^Documentation=file://(\S+)$", text, re.M)
    folder, _, document = name.partition("/share/doc/pregon/")
    assert folder and os.path.exists(os.path.join(pregon.ROOT, document))
    listed = subprocess.run(
        ["make", "-n", "install", "DESTDIR=/nowhere"],
        cwd=pregon.ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert re.search(rf"for f in .*\b{re.escape(document)}\b", listed), "make install copies it"
