"""``python -m asd_train.demo``: a fault is found, without hardware or a broker."""

try:
    from asd_train.demo.cli import main
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}; pip install 'asd[demo]'") from error

raise SystemExit(main())
