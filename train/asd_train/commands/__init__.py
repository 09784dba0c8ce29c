"""The commands of ``asd-train``, a module each; what is heavy is imported late."""
