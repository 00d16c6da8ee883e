"""The speakers that the benchmarks compare, each with the same sessions in the same network namespace."""
import dataclasses
import os
import shutil
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(os.environ.get('WEFT_BUILD', ROOT + '/build/release'), 'bin')
FRR = '/usr/lib/frr'
TICKS = os.sysconf('SC_CLK_TCK')
ASN = 4200000011


def run(*words, check=True):
    return subprocess.run(words, check=check, stdout=subprocess.PIPE, text=True).stdout


def machine():
    print(f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, Linux {os.uname().release}', flush=True)


@dataclasses.dataclass
class Neighbor:
    name: str
    address: str
    ours: str
    asn: int = 4200000001
    keepalive: int = 80
    heard: bool = True
    """What it announces is taken."""
    told: bool = False
    """It is told all that the daemon has."""


class Daemon:
    """One of the speakers, in network namespace `netns`. `kernel`: what it learns goes there."""

    def __init__(self, netns, work, neighbors, family='ipv4', kernel=True):
        self.netns, self.work, self.neighbors, self.family, self.kernel = netns, work, neighbors, family, kernel
        self.processes = []

    def start(self, settle=1):
        """And so many seconds for it to settle."""
        self.write()
        for words in self.commands():
            log = open(f'{self.work}/log', 'ab')
            self.processes.append(
                subprocess.Popen(['ip', 'netns', 'exec', self.netns, *words], stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log))
            self.started()
        time.sleep(settle)
        self.check()

    def check(self):
        if any(process.poll() is not None for process in self.processes):
            raise RuntimeError(f'{self.name} ended by itself')

    def started(self):
        pass

    def stop(self, how=signal.SIGKILL):
        for process in self.processes:
            process.send_signal(how)
        for process in self.processes:
            process.wait()
        self.processes = []

    def file(self, name, text):
        with open(f'{self.work}/{name}', 'w') as out:
            out.write(text)
        return f'{self.work}/{name}'

    def cpu(self):
        total = 0
        for process in self.processes:
            with open(f'/proc/{process.pid}/stat') as stat:
                fields = stat.read().rpartition(')')[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self, what='VmRSS'):
        """Octets; VmHWM: at the most, ever."""
        total = 0
        for process in self.processes:
            with open(f'/proc/{process.pid}/status') as status:
                total += sum(int(line.split()[1]) * 1024 for line in status if line.startswith(what + ':'))
        return total

    def wakeups(self):
        total = 0
        for process in self.processes:
            for task in os.listdir(f'/proc/{process.pid}/task'):
                with open(f'/proc/{process.pid}/task/{task}/status') as status:
                    total += sum(int(line.split()[1]) for line in status if 'ctxt_switches' in line)
        return total

    def ask(self):
        """The words of a small question to the daemon, as an operator asks it."""
        raise NotImplementedError


class Weft(Daemon):
    name = 'weft'

    def write(self):
        peers = ''.join(
            f'    - {{name: {each.name}, address: "{each.address}", remote-as: {each.asn}, '
            f'hold-time: {3 * each.keepalive}, connect-retry: 1, families: [{self.family}], '
            f'import: {"accept" if each.heard else "none"}, export: {"accept" if each.told else "none"}}}\n'
            for each in self.neighbors)
        self.file('weft.yaml', f'node: {{name: bench, asn: {ASN}, router-id: 10.255.0.11}}\n'
                  'bgp:\n  policies: {none: [{then: reject}]}\n'
                  f'  peers:\n{peers}exporter: {{listen: off}}\n' + ('' if self.kernel else 'fib: {install: false}\n'))

    def commands(self):
        yield [f'{BIN}/weftd', '--config', f'{self.work}/weft.yaml', '--state-dir', self.work, '--socket',
               f'{self.work}/weft.sock']

    def ask(self):
        return [f'{BIN}/weftctl', '--socket', f'{self.work}/weft.sock', 'status']


class Bird(Daemon):
    name = 'bird'

    def write(self):
        peers = ''.join(
            f'protocol bgp {each.name} {{\n  local {each.ours} as {ASN};\n'
            f'  neighbor {each.address} as {each.asn};\n  hold time {3 * each.keepalive};\n'
            f'  connect delay time 1; connect retry time 1; graceful restart on;\n'
            f'  {self.family} {{ import {"all" if each.heard else "none"}; export {"all" if each.told else "none"}; }};'
            '\n}\n' for each in self.neighbors)
        kernel = (f'protocol kernel {{ scan time 3600; persist; graceful restart; merge paths on; '
                  f'{self.family} {{ export all; }}; }}\n' if self.kernel else '')
        self.file('bird.conf', 'router id 10.255.0.11;\ngraceful restart wait 60;\nprotocol device { scan time 60; }\n' +
                  kernel + peers)

    def commands(self, *more):
        yield ['bird', '-f', '-c', f'{self.work}/bird.conf', '-s', f'{self.work}/bird.ctl', '-P',
               f'{self.work}/bird.pid', *more]

    def ask(self):
        return ['birdc', '-s', f'{self.work}/bird.ctl', 'show', 'status']


class Frr(Daemon):
    name = 'frr'

    def write(self):
        self.file('zebra.conf', 'hostname bench\n')
        lines = [f'router bgp {ASN}', ' bgp router-id 10.255.0.11', ' no bgp ebgp-requires-policy',
                 ' no bgp default ipv4-unicast', ' no bgp network import-check']
        for each in self.neighbors:
            lines += [f' neighbor {each.address} remote-as {each.asn}',
                      f' neighbor {each.address} timers {each.keepalive} {3 * each.keepalive}',
                      f' neighbor {each.address} timers connect 1']
        lines += [f' address-family {self.family} unicast', '  maximum-paths 8']
        for each in self.neighbors:
            lines += [f'  neighbor {each.address} activate']
            lines += [] if each.heard else [f'  neighbor {each.address} route-map NOTHING in']
            lines += [] if each.told else [f'  neighbor {each.address} route-map NOTHING out']
        lines += [' exit-address-family', 'route-map NOTHING deny 10']
        self.file('bgpd.conf', '\n'.join(lines) + '\n')
        shutil.rmtree(f'{self.work}/frr', ignore_errors=True)
        os.mkdir(f'{self.work}/frr')
        # FRR lets go of root, and of its sockets' folder if that belongs to another.
        shutil.chown(f'{self.work}/frr', 'frr', 'frr')

    def commands(self):
        for program, config, more in (('zebra', 'zebra.conf', []),
                                      ('bgpd', 'bgpd.conf', [] if self.kernel else ['-n'])):
            yield [f'{FRR}/{program}', '-f', f'{self.work}/{config}', '-i', f'{self.work}/frr/{program}.pid', '-z',
                   f'{self.work}/frr/zserv', '--vty_socket', f'{self.work}/frr', '-P', '0', *more]

    def started(self):
        deadline = time.monotonic() + 20
        while not os.path.exists(f'{self.work}/frr/zserv') and time.monotonic() < deadline:
            time.sleep(0.05)

    def ask(self):
        return ['vtysh', '--vty_socket', f'{self.work}/frr', '-c', 'show version']


class Gobgp(Daemon):
    """Writes to no kernel."""
    name = 'gobgp'

    def write(self):
        text = f'[global.config]\nas = {ASN}\nrouter-id = "10.255.0.11"\n'
        for each in self.neighbors:
            text += (f'[[neighbors]]\n[neighbors.config]\nneighbor-address = "{each.address}"\npeer-as = {each.asn}\n'
                     f'[neighbors.timers.config]\nhold-time = {3 * each.keepalive}\n'
                     f'keepalive-interval = {each.keepalive}\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n'
                     f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n'
                     f'afi-safi-name = "{self.family}-unicast"\n')
        self.file('gobgpd.toml', text)

    def commands(self):
        yield ['gobgpd', '-f', f'{self.work}/gobgpd.toml', '-t', 'toml', '--api-hosts', '127.0.0.1:50051', '-l', 'warn']

    def ask(self):
        return ['gobgp', '-p', '50051', 'global']


DAEMONS = {each.name: each for each in (Weft, Bird, Frr, Gobgp)}


def installed(*names):
    """Those of the names that this machine has."""
    there = {'weft': True, 'bird': shutil.which('bird'), 'frr': os.access(f'{FRR}/bgpd', os.X_OK),
             'gobgp': shutil.which('gobgpd')}
    return [name for name in names if there[name]]
