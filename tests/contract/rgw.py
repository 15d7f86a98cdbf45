"""Starts a real S3 server for the tests: a one-node Ceph RADOS Gateway with its data in memory."""

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ACCESS_KEY, SECRET_KEY = "testkey", "testsecret123"
PROGRAMS = (
    "ceph-mon",
    "ceph-osd",
    "radosgw",
    "radosgw-admin",
    "ceph",
    "ceph-authtool",
    "monmaptool",
)
PATIENCE_SECONDS = 60

_CONF = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
ms_bind_ipv6 = false
run_dir = {folder}/run
log_file = {folder}/log/$name.log
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
keyring = {folder}/keyring
mon_data = {folder}/mon
auth_allow_insecure_global_id_reclaim = false
mon_cluster_log_file = {folder}/log/cluster.log
mon_allow_pool_size_one = true
mon_data_avail_warn = 2
mon_data_avail_crit = 1
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_max_object_name_len = 460
osd_max_object_namespace_len = 64
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_rados_pool_pg_num_min = 1
rgw_cache_enabled = false
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_dns_name = localhost
rgw_zone = default
"""


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Gateway:
    """The server's three daemons, each a child of ours that is ended by its own handle."""

    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._mon1, self._mon2 = _free_ports(3)
        self._base: list[subprocess.Popen[bytes]] = []
        self._front: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start all daemons and make the user of the tests."""
        fsid = str(uuid.uuid4())
        for name in ("mon", "osd", "rgw", "run", "log"):
            (self._folder / name).mkdir()
        conf = _CONF.format(
            fsid=fsid, folder=self._folder, port=self._port, mon1=self._mon1, mon2=self._mon2
        )
        (self._folder / "ceph.conf").write_text(conf)
        self._make_keys()
        self._start_monitor(fsid)
        self._start_osd()
        self.revive()
        self._call(
            "radosgw-admin", "user", "create", "--uid=test", "--display-name=test",
            f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}",
        )  # fmt: skip

    def kill(self) -> None:
        """End the gateway as a crash would; what it stored survives."""
        if self._front is not None:
            self._front.kill()
            self._front.wait()
            self._front = None

    def revive(self) -> None:
        """Start the gateway and wait until it answers."""
        if self._front is None:
            self._front = self._spawn("radosgw", "-f", "-n", "client.rgw.a", "--rgw-zone=default")
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._front.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"radosgw did not start:\n{self._log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End all daemons."""
        self.kill()
        for daemon in reversed(self._base):
            daemon.kill()
            daemon.wait()
        self._base.clear()

    def _make_keys(self) -> None:
        """Give every party its key: the gateway does not start without."""
        keyring = str(self._folder / "keyring")
        self._call("ceph-authtool", keyring, "--create-keyring")
        for name in ("mon.", "client.admin", "client.rgw.a", "osd.0"):
            caps = [part for who in ("mon", "osd", "mgr") for part in ("--cap", who, "allow *")]
            self._call("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)

    def _start_monitor(self, fsid: str) -> None:
        """Make and start the monitor, which knows the cluster."""
        addresses = f"[v2:127.0.0.1:{self._mon2},v1:127.0.0.1:{self._mon1}]"
        monmap, keyring = self._folder / "monmap", str(self._folder / "keyring")
        self._call("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, str(monmap))
        self._call("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(monmap), "--keyring", keyring)
        self._base.append(self._spawn("ceph-mon", "-f", "-i", "a"))

    def _start_osd(self) -> None:
        """Make and start the one object storage daemon."""
        osd = str(uuid.uuid4())
        self._call("ceph", "osd", "new", osd)
        self._call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._base.append(self._spawn("ceph-osd", "-f", "-i", "0"))

    def _call(self, program: str, *arguments: str) -> None:
        """Run a program to its end."""
        done = subprocess.run(
            [program, *arguments],
            env={**os.environ, "CEPH_CONF": str(self._folder / "ceph.conf")},
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a daemon in the foreground, as our child."""
        with (self._folder / "log" / f"{program}.out").open("ab") as out:
            return subprocess.Popen(
                [program, *arguments],
                env={**os.environ, "CEPH_CONF": str(self._folder / "ceph.conf")},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _answers(self) -> bool:
        """Whether somebody speaks HTTP on our port."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def _log(self) -> str:
        """Return the last words of the gateway."""
        return (self._folder / "log" / "radosgw.out").read_text(errors="replace")[-2000:]


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A running gateway, one for all tests; without the programs skipped, in CI a failure."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        reason = f"no {', '.join(missing)}: install the packages radosgw, ceph-osd and ceph-mon"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Not pytest's own folder: socket paths must stay under 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="rgw-"))
    server = Gateway(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
