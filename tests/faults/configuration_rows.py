"""Bad lines of a configuration: the text, its key and what must be said of it.

Each stands in line 5 of a file that is good but for it. In `TABLE` a row is the text,
the key that is named, and words of the message with ``...`` where others may stand
between them; ``=>`` and a number at its end is the exit code, if it is not 2.
"""

SECRET = "hunter2"  # noqa: S105 - that of the rows, which nothing may show
WHOLE = "expected a whole number"
NAME = "expected lower-case letters, digits, - and _, at most 63"
SIZE = "expected bytes, or a number with kB, MB, GB, KiB, MiB or GiB"
KEYS_BELOW = "expected keys below it, or {} for their defaults"
HOST = "expected a name or an address alone"

TABLE = f"""
device: Press 7 | device | {NAME} ... found 'Press 7'
device: a/b | device | {NAME} ... found 'a/b'
device: "+" | device | {NAME} ... found '+'
device: "#" | device | {NAME} ... found '#'
device: -a | device | {NAME}
device: {"x" * 64} | device | {NAME}
device: 7 | device | expected text: put it in quotes; found 7
device: yes | device | expected text: put it in quotes; found true
device: | device | expected text: put it in quotes; found nothing
device: "" | device | is empty: write a value
device: bundles | device | bundles is a word of the MQTT topics; take another name
device: "a\\0b" | device | holds a character that cannot be printed
device: [a, b] | device | expected text ... found a list
device: 2026-01-02 | device | expected text: put it in quotes; found 2026-01-02
device: 2026-13-32 | | FILE:5: not YAML: no number or date that can be
device: 0123 | | FILE:5: not YAML: no number or date that can be: put it in quotes
devise: a | devise | no such key; did you mean device?
state_dir: | state_dir | expected the path of a file or folder; found nothing
state_dir: "" | state_dir | is empty
state_dir: 7 | state_dir | expected the path of a file or folder; found 7
state_dir: "/a\\tb" | state_dir | holds a character that cannot be printed
state_dir: /dev/null/asd | | state_dir /dev/null/asd: cannot be written => 5
groups: line-3 | groups | expected a list, each entry on a line that begins with -
groups: [Line 3] | groups[0] | {NAME} ... found 'Line 3'
groups: [{", ".join(f"g{i}" for i in range(17))}] | groups | expected at most 16
bundle: /etc/asd/bundle | bundle | {KEYS_BELOW}; found '/etc/asd/bundle'
bundle: {{path: /nowhere}} | bundle.path | there is no file /nowhere/manifest.json
bundle: {{path: [a]}} | bundle.path | expected the path of a file ... found a list
bundle: {{runtime: torch}} | bundle.runtime | 'tflite' or 'onnx-gpu'; found 'torch'
bundle: {{trusted_keys: /a.pub}} | bundle.trusted_keys | expected a list
bundle: {{trusted_keys: [/no.pub]}} | bundle.trusted_keys[0] | no file /no.pub; check
bundle: {{trusted_keys: [/dev/zero]}} | bundle.trusted_keys[0] | no file /dev/zero
bundle: {{trusted_keys: [/etc/passwd]}} | | trusted_keys ... /etc/passwd
bundle: {{allow_unsigned: maybe}} | bundle.allow_unsigned | true or false; found 'maybe'
bundle: {{device_class: Pi 5}} | bundle.device_class | at most 32 ... found 'Pi 5'
bundle: {{max_bytes: 10}} | bundle.max_bytes | expected at least 1,000,000; found 10
bundle: {{max_bytes: 64MiB}} | bundle.max_bytes | {WHOLE}; found '64MiB'
bundle: {{ca: /no.pem}} | bundle.ca | there is no file /no.pem; check the path
bundle: {{commit_windows: 0}} | bundle.commit_windows | at least 1; found 0
bundle: {{commit_windows: 1.5}} | bundle.commit_windows | {WHOLE}; found 1.5
bundle: {{test_timeout_s: 0}} | bundle.test_timeout_s | more than 0; found 0
bundle: {{test_timeout_s: .inf}} | bundle.test_timeout_s | a finite number; found inf
bundle: {{test_memory_bytes: 1}} | bundle.test_memory_bytes | at least 268,435,456
bundle: {{test_memory_bytes: 1{"0" * 30}}} | bundle.test_memory_bytes | expected at most
bundel: {{}} | bundel | no such key; did you mean bundle?
mqtt: | mqtt | nothing is below it: write its keys, or remove it
mqtt: true | mqtt | {KEYS_BELOW}; found true
mqtt: {{}} | mqtt.host | is missing; add it
mqtt: {{host: ""}} | mqtt.host | is empty
mqtt: {{host: a b}} | mqtt.host | {HOST} ... found 'a b'
mqtt: {{host: "mqtts://b"}} | mqtt.host | {HOST} ... found 'mqtts://b'
mqtt: {{host: "b:8883"}} | mqtt.host | {HOST} ... the port ... found 'b:8883'
mqtt: {{host: "u:{SECRET}@b"}} | mqtt.host | {HOST} ... found a value that is not shown
mqtt: {{host: {"b" * 300}}} | mqtt.host | {HOST}
mqtt: {{host: b, port: 0}} | mqtt.port | expected at least 1; found 0
mqtt: {{host: b, port: 70000}} | mqtt.port | expected at most 65,535; found 70000
mqtt: {{host: b, port: mqtts}} | mqtt.port | {WHOLE}; found 'mqtts'
mqtt: {{host: b, port: true}} | mqtt.port | expected a number; found true
mqtt: {{host: b, port: -1}} | mqtt.port | expected at least 1; found -1
mqtt: {{host: b, port: .nan}} | mqtt.port | found nan
mqtt: {{host: b, port: 18:33}} | | FILE:5: not YAML: no number or date that can be
mqtt: {{host: b, port: 0x{"f" * 5000}}} | mqtt.port | found a number of many digits
mqtt: {{host: b, port: {"9" * 5000}}} | | FILE:5: not YAML: no number or date
mqtt: {{host: b, root: a/+/b}} | mqtt.root | without +, # ... found 'a/+/b'
mqtt: {{host: b, root: a/#}} | mqtt.root | without +, # ... found 'a/#'
mqtt: {{host: b, root: /a}} | mqtt.root | empty levels; found '/a'
mqtt: {{host: b, root: $SYS}} | mqtt.root | $ at the start ... found '$SYS'
mqtt: {{host: b, root: {"r" * 256}}} | mqtt.root | at most 255 characters
mqtt: {{host: b, username: 12}} | mqtt.username | put it in quotes; found 12
mqtt: {{host: b, username: {"u" * 256}}} | mqtt.username | at most 255 characters
mqtt: {{host: b, password: {SECRET}}} | mqtt.password | did you mean password_file?
mqtt: {{host: b, pasword: {SECRET}}} | mqtt.pasword | did you mean password_file?
mqtt: {{host: b, password_file: /a}} | mqtt | of no use without username: add it
mqtt: {{host: b, username: u, password_file: {SECRET}}} | mqtt.password_file | never the
mqtt: {{host: b, username: u, password_file: [{SECRET}]}} | mqtt.password_file | a list
mqtt: {{host: b, username: u, password_file: /dev/zero}} | mqtt.password_file | no such
mqtt: {{host: b, tls: true}} | mqtt.tls | {KEYS_BELOW}; found true
mqtt: {{host: b, tls: false}} | mqtt | b is not. Remove it, or add insecure: true
mqtt: {{host: 10.0.0.1, tls: false}} | mqtt | for a broker on this machine; 10.0.0.1
mqtt: {{host: b, tls: {{ca: /no.pem}}}} | mqtt.tls.ca | there is no file /no.pem; check
mqtt: {{host: b, tls: {{ca: /etc/passwd}}}} | | mqtt.tls.ca /etc/passwd cannot be used
mqtt: {{host: b, tls: {{cert: /c.pem}}}} | mqtt.tls | cert and key go together
mqtt: {{host: b, tls: {{key: /k.pem}}}} | mqtt.tls | cert and key go together
mqtt: {{host: b, tls: {{cert: /etc/passwd, key: {SECRET}}}}} | mqtt.tls.key | no such
mqtt: {{host: b, tls: {{version: 1.2}}}} | mqtt.tls.version | no such key; known: ca, ce
mqtt: {{host: b, insecure: 2}} | mqtt.insecure | expected true or false; found 2
mqtt: {{host: b, keepalive_s: 4}} | mqtt.keepalive_s | at least 5; found 4
mqtt: {{host: b, keepalive_s: 30s}} | mqtt.keepalive_s | {WHOLE}; found '30s'
mqtt: {{host: b, interval_s: 0}} | mqtt.interval_s | at least 0.1; found 0
mqtt: {{host: b, interval_s: 1,5}} | mqtt.5 | expected a word as a key
mqtt: {{host: b, outbox: {{max_bytes: 64MiBs}}}} | mqtt.outbox.max_bytes | {SIZE}
mqtt: {{host: b, outbox: {{max_bytes: 1}}}} | mqtt.outbox.max_bytes | at least 262,144
mqtt: {{host: b, outbox: {{max_age_s: .inf}}}} | mqtt.outbox.max_age_s | found inf
mqtt: {{host: b, outbox: {{max_age_s: 1.0e+300}}}} | mqtt.outbox.max_age_s | at most
mqtt: {{host: b, outbox: {{commit_s: 0}}}} | mqtt.outbox.commit_s | at least 0.5
mqtt: {{host: b, outbox: 5}} | mqtt.outbox | {KEYS_BELOW}; found 5
sources: | sources | expected a list, each entry on a line ... found nothing
sources: [] | sources | expected at least 1: add one
sources: {{name: a, microphone: m}} | sources | expected a list ... found keys below it
sources: [a] | sources[0] | {KEYS_BELOW}; found 'a'
sources: [{{microphone: m}}] | sources[0].name | is missing; add it
sources: [{{name: health, microphone: m}}] | sources[0].name | a word of the MQTT topics
sources: [{{name: a+b, microphone: m}}] | sources[0].name | {NAME}
sources: [{{name: ../a, microphone: m}}] | sources[0].name | {NAME}
sources: [{{name: a}}] | sources[0] | give either microphone or recording
sources: [{{name: a, microphone: m, recording: r}}] | sources[0] | give either
sources: [{{name: a, microphone: ""}}] | sources[0].microphone | is empty
sources: [{{name: a, microphone: 1}}] | sources[0].microphone | in quotes; found 1
sources: [{{name: a, microphone: "hw:1,0"}}] | sources[0] | hw:1,0 holds a number
sources: [{{name: a, microphone: m, channel: -1}}] | sources[0].channel | at least 0
sources: [{{name: a, microphone: m, channel: 256}}] | sources[0].channel | at most 255
sources: [{{name: a, recording: r, pace: slow}}] | sources[0].pace | found 'slow'
sources: [{{name: a, recording: r, loop: often}}] | sources[0].loop | true or false
sources: [{{name: a, recording: r, lop: true}}] | sources[0].lop | did you mean loop?
sources: [{{name: a, recording: r, learn: 5}}] | sources[0].learn | {KEYS_BELOW}
sources: [{{name: a, learn: {{minutes: 0}}}}] | sources[0].learn.minutes | more than 0
sources: [{{name: a, learn: {{keep_bytes: -1}}}}] | sources[0].learn.keep_bytes | -1
sources: [{{name: a, microphone: m}}, {{name: a, recording: r}}] | sources | rename one
sources: [{{name: a, recording: /no/*.wav}}] | | no recording found ... check => 3
sources: [{{name: a, microphone: "usb:dead:beef"}}] | | usb:dead:beef => 3
alarm: 3 | alarm | {KEYS_BELOW}; found 3
alarm: {{per_week: 0}} | alarm.per_week | more than 0; found 0
alarm: {{per_week: .nan}} | alarm.per_week | a finite number; found nan
alarm: {{per_week: one}} | alarm.per_week | expected a number; found 'one'
alarm: {{per_weak: 1}} | alarm.per_weak | no such key; did you mean per_week?
alarm: {{raise: 3 in 5}} | alarm.raise | such as 3 of 5; found '3 in 5'
alarm: {{raise: 6 of 5}} | alarm.raise | 6 of 5 cannot be reached
alarm: {{raise: 0 of 5}} | alarm | raise: 0 windows would always be an alarm
alarm: {{raise: {"9" * 5000} of 5}} | alarm.raise | such as 3 of 5
alarm: {{raise: 5}} | alarm.raise | such as 3 of 5; found 5
alarm: {{clear: 3 of 10}} | alarm | clear: needs fewer hits
alarm: {{clear: 1 of 2000}} | alarm.clear.n | at most 1,000; found 2000
clips: {{max_bytes: -1}} | clips.max_bytes | {SIZE} ... found -1
clips: {{max_bytes: .inf}} | clips.max_bytes | {SIZE} ... found inf
clips: {{max_bytes: {"9" * 400}GB}} | clips.max_bytes | {SIZE}
clips: {{max_bytes: [1]}} | clips.max_bytes | {SIZE} ... found a list
clips: {{max_bytes: 500 apples}} | clips.max_bytes | {SIZE} ... found '500 apples'
clips: {{before_s: 61}} | clips.before_s | at most 60; found 61
clips: {{after_s: -1}} | clips.after_s | at least 0; found -1
clips: {{befor_s: 1}} | clips.befor_s | no such key; did you mean before_s?
metrics: | metrics | nothing is below it
metrics: 9464 | metrics | {KEYS_BELOW}; found 9464
metrics: {{host: "http://a"}} | metrics.host | {HOST}
metrics: {{port: 0}} | metrics.port | at least 1; found 0
port: 1883 | port | no such key; it belongs below mqtt: check how far
7: 8 | 7 | expected a word as a key: put it in quotes; found 7
alarm: {{per_week: 1}}\\nalarm: {{per_week: 2}} | | FILE:6: alarm: given twice
? [a]\\n: b | | FILE:5: not YAML: ... unhashable key
"""


def _rows() -> list[tuple[str, str, str, int]]:
    rows = []
    for line in filter(None, TABLE.splitlines()):
        text, key, words = (cell.strip() for cell in line.split(" |", 2))
        words, _, code = words.partition(" => ")
        rows.append((text, key, words, int(code or 2)))
    return rows


ROWS = _rows()
"""Text, key, words of the message, exit code"""
