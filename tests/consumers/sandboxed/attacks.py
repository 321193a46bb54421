"""What code in the sandbox tries. The last expression is true if it got what it came for.

Names in braces are filled in by `siege.py`: `{secret}` is a file of the server's, `{folder}` its
folder, `{port}` a listening socket, `{socket}` one with a path, `{server}` the server's process,
`{other}` something that another conversation's code has left behind.
"""

from __future__ import annotations

HELPERS = '''
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    """Make a system call: whether the kernel lets it through, whatever it thinks of it then."""
    ctypes.set_errno(0)
    answer = libc.syscall(number, *arguments)
    return answer >= 0 or ctypes.get_errno() not in (1, 38)  # EPERM, ENOSYS

def read(path):
    with open(path, "rb") as file:
        return file.read(1000)
'''

NAMES = {
    "random._os": "import random\nf = random._os.open('{secret}', 0)\nrandom._os.read(f, 99)",
    "queue.threading._os": "import queue\nqueue.threading._os.listdir('{folder}')",
    "sys.modules": "sys.modules['posix'].listdir('{folder}')",
    "importlib": "import importlib\nimportlib.import_module('posix').listdir('{folder}')",
    "BuiltinImporter": (
        "import importlib.machinery as m\n"
        "m.BuiltinImporter.load_module('posix').listdir('{folder}')"
    ),
    "getattr through map": "list(map(getattr, [os], ['listdir']))[0]('{folder}')",
    "getattr through partial": (
        "import functools\nfunctools.partial(getattr, os)('listdir')('{folder}')"
    ),
    "getattr through filter": (
        "list(filter(lambda f: f.__name__ == 'listdir', vars(os)['__all__'] and [os.listdir]))"
        "[0]('{folder}')"
    ),
    "__subclasses__": (
        "[c for c in object.__subclasses__() if c.__name__ == 'catch_warnings'][0]()"
        "._module.__builtins__['open']('{secret}').read()"
    ),
    "tb_frame.f_back": (
        "def up():\n"
        "    try: 1 / 0\n"
        "    except ZeroDivisionError as e:\n"
        "        f = e.__traceback__.tb_frame\n"
        "        while f.f_back: f = f.f_back\n"
        "        return f.f_globals['__builtins__']\n"
        "b = up()\n(b if isinstance(b, dict) else vars(b))['open']('{secret}').read()"
    ),
    "format-string attributes": "'the password' in '{{0.environ}}'.format(os)",
    "except*": (
        "try: raise ExceptionGroup('', [OSError()])\n"
        "except* OSError as e: r = type(e).__mro__[-1].__subclasses__\n"
        "open('{secret}').read()"
    ),
    "with": (
        "class C:\n"
        "    def __enter__(self): return open('{secret}').read()\n"
        "    def __exit__(self, *a): pass\n"
        "with C() as c: pass\nc"
    ),
    "augmented assignment": (
        "class C:\n    def __iadd__(self, path): return open(path).read()\n"
        "c = C()\nc += '{secret}'\nc"
    ),
    "pandas.eval": "pd.eval('@open(\"{secret}\").read()', engine='python')",
    "query with @": "pd.DataFrame({{'a': [1]}}).query('@os.listdir(\"{folder}\")')",
    "read_csv of a file": "pd.read_csv('{secret}').columns.tolist()",
    "read_csv of an address": "pd.read_csv('http://127.0.0.1:{port}/')",
    "to_pickle": "pd.DataFrame().to_pickle('{folder}/written')\nTrue",
    "np.load with pickle": (
        "import pickle, io\n"
        "class C:\n    def __reduce__(self): return (os.listdir, ('{folder}',))\n"
        "b = io.BytesIO()\nnp.save(b, np.array([C()], dtype=object), allow_pickle=True)\n"
        "b.seek(0)\nnp.load(b, allow_pickle=True)[0]"
    ),
    "numpy's ctypes": ("o = np.ctypeslib.ctypes.CDLL(None).open\no(b'{secret}', 0) >= 0"),
    "ctypes open": "libc.open(b'{secret}', 0) >= 0",
    "ctypes system call": "libc.syscall(2, b'{secret}', 0) >= 0",
}

FILES = {
    "/etc/passwd": "read('/etc/passwd')",
    "the project's source": "read('{source}')",
    "the settings": "read('{settings}')",
    "another conversation's file": "read('{other}')",
    "symbolic link out": "os.symlink('{secret}', 'link')\nr = read('link')\nos.unlink('link')\nr",
    "hard link out": "os.link('{secret}', 'hard')\nr = read('hard')\nos.unlink('hard')\nr",
    "/proc/1/environ": "read('/proc/1/environ')",
    "its own environment in /proc": "read('/proc/self/environ')",
    "the server's environment": "read('/proc/{server}/environ')",
    "the server's memory": "open('/proc/{server}/mem', 'rb+') and True",
    "inherited files": (
        "import stat\n"
        "def kind(f):\n"
        "    try: return stat.S_IFMT(os.fstat(f).st_mode)\n"
        "    except OSError: return 0\n"
        "[f for f in range(256) if kind(f) not in (0, stat.S_IFIFO, stat.S_IFCHR)]"
    ),
    "/dev/shm": "open('/dev/shm/{server}', 'w')\nos.unlink('/dev/shm/{server}')\nTrue",
    "writing outside": "open('{folder}/written', 'w') and True",
    "chmod": "os.chmod('{secret}', 0o777)\nTrue",
    "utime": "os.utime('{secret}', (0, 0))\nTrue",
    "chown": "os.chown('{secret}', os.getuid(), -1)\nTrue",
    "xattr": "os.setxattr('{secret}', 'user.a', b'1')\nTrue",
    "emptying a library's file": "os.open(pd.__file__, os.O_RDONLY | os.O_TRUNC) and True",
    "truncating": "os.truncate('{secret}', 0)\nTrue",
    "removing": "os.unlink('{folder}/removable')\nTrue",
    "memfd": "os.memfd_create('a')\nTrue",
    "execveat": "call(322, -1, b'/bin/true', None, None, 0)",
    "io_uring": "call(425, 1, None)",
    "userfaultfd": "call(323, 0)",
    "ptrace": "call(101, 16, {server}, 0, 0)",
    "process_vm_readv": "call(310, {server}, None, 0, None, 0, 0)",
    "mount": "call(165, None, b'/', None, 0, None)",
    "unshare": "call(272, 0x10000000)",
    "setns": "call(308, 0, 0)",
    "chroot": "call(161, b'/tmp')",
    "keyctl": "call(250, 0, -3, 0)",
    "bpf": "call(321, 0, None, 0)",
    "perf_event_open": "call(298, None, 0, -1, -1, 0)",
    "open_by_handle_at": "call(304, -1, None, 0)",
    "pidfd_getfd": "call(438, -1, 0, 0)",
    "a system call of the x32 ABI": "call(0x40000000 + 41, 2, 1, 0)",
}

NETWORK = {
    "TCP": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1) and True",
    "UDP": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM) and True",
    "unix socket": (
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('{socket}')\nTrue"
    ),
    "abstract socket": (
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0turnlog-{server}')\nTrue"
    ),
    "DNS": "import socket\nsocket.socket(socket.AF_INET6, socket.SOCK_DGRAM) and True",
    "a cloud's metadata": "import urllib.request as r\nr.urlopen('http://169.254.169.254/')",
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW) and True",
    "raw": "call(41, 17, 3, 0)",
    "socketpair": "import socket\nsocket.socketpair() and True",
    "32-bit socketcall": "call(102 + (1 << 30), 1, None)",
}

PROCESS = {
    "fork": "p = os.fork()\nif p == 0: os._exit(0)\nTrue",
    "vfork": "call(58)",
    "clone": "call(56, 17, 0, 0, 0, 0)",
    "clone3": "call(435, None, 0)",
    "a program": "import subprocess\nsubprocess.run(['/bin/true']).returncode == 0",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {{}}) and True",
    "setsid": "os.setsid() >= 0",
    "signal 0 to the server": "os.kill({server}, 0) is None",
    "signal to its parent": "os.kill(os.getppid(), 0) is None",
    "signal to everybody": "os.kill(-1, 0) is None",
    "a signal to another thread group": "call(200, {server}, 0)",
    "setrlimit up": (
        "import resource\n"
        "try: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); ok = True\n"
        "except ValueError: ok = False\nok"
    ),
    "prlimit of the server": ("import resource\nresource.prlimit({server}, resource.RLIMIT_CPU)"),
    "a signal by way of a pipe": (
        "import fcntl\nfcntl.fcntl(os.pipe()[0], 8, {server})\nTrue"  # F_SETOWN
    ),
    "nice": "call(141, 0, 0, -5)",
    "outliving the server": "call(157, 1, 0, 0, 0, 0)",
    "becoming root": "os.setuid(0) is None",
    "sched_setaffinity": "call(203, 0, 128, None)",
}

STARTUP = {
    "the server's variables": "[k for k in os.environ if 'TURNLOG' in k or 'DJANGO' in k]",
    "PYTHONSTARTUP": "'PYTHONSTARTUP' in os.environ or 'PYTHONPATH' in os.environ",
    "matplotlibrc": "plt.rcParams['lines.linewidth'] == 77.0",
    "modules beside the server": "import planted",
    "sitecustomize": "'sitecustomize' in sys.modules or 'usercustomize' in sys.modules",
    "the working folder": "'' in sys.path or '.' in sys.path",
    "a compiled module planted": (
        "open(os.path.dirname(pd.__file__) + '/__pycache__/planted.pyc', 'w') and True"
    ),
    "a .pth planted": "open(os.path.dirname(pd.__path__[0]) + '/planted.pth', 'w') and True",
}

BOUNDS = {
    "memory": "x = [bytearray(2**28) for _ in range(16)]\nTrue",
    "memory by mmap": "import mmap\nmmap.mmap(-1, 2**33) and True",
    "disk": (
        "n = 0\n"
        "for k in range(64):\n"
        "    with open(f'bomb{{k}}', 'wb') as f: n += f.write(bytes(2**24))\n"
        "n > 2**27"
    ),
    "a large file": "f = open('large', 'wb')\nf.truncate(2**40)\nTrue",
    "open files": "len([os.dup(1) for _ in range(300)]) == 300",
    "threads": (
        "import threading, time\n"
        "e = threading.Event()\nt = []\n"
        "try:\n"
        "    for _ in range(400): t.append(threading.Thread(target=e.wait)); t[-1].start()\n"
        "except RuntimeError: t.pop()\n"
        "finally: e.set(); [each.join() for each in t]\n"
        "len(t) >= 400"
    ),
}

ATTACKS = {**NAMES, **FILES, **NETWORK, **PROCESS, **STARTUP, **BOUNDS}

NOT_IN_A_BARE_PROCESS = {
    # What an ordinary machine, user or kernel refuses anyway, or what every tier prevents.
    *("format-string attributes", "the server's variables", "PYTHONSTARTUP", "matplotlibrc"),
    *("modules beside the server", "sitecustomize", "the working folder", "inherited files"),
    *("pandas.eval", "query with @", "a cloud's metadata", "32-bit socketcall", "io_uring"),
    *("a system call of the x32 ABI", "another conversation's file", "setsid", "netlink"),
    *("userfaultfd", "keyctl", "perf_event_open", "bpf", "mount", "chroot", "becoming root"),
    *("the server's memory", "ptrace", "process_vm_readv", "signal 0 to the server", "setns"),
    *("open_by_handle_at", "xattr", "raw", "unshare", "memory", "memory by mmap", "open files"),
    *("a large file", "disk", "threads", "setrlimit up", "vfork", "clone", "execveat", "nice"),
    "emptying a library's file",
    *("/proc/1/environ", "a compiled module planted", "a .pth planted", "hard link out"),
    *("signal to everybody", "read_csv of an address", "except*"),
}
