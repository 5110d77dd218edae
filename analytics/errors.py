"""The errors people see. Each message says what is wrong and what to do next."""


class AnalyticsError(Exception):
    """Base of every error this platform raises on purpose.

    The command line prints its message without a stack trace; everything else
    that reaches the user is a bug.
    """


class SettingsError(AnalyticsError):
    """A setting is unknown, misspelt, out of range or not yet available."""


class UnknownTenant(AnalyticsError):
    """A tenant id that the tenants file does not declare."""


class SourceError(AnalyticsError):
    """A source cannot be read: it is missing, damaged, or refuses the login."""


class SchemaError(SourceError):
    """A source came without a column that its declaration requires."""


class LakeError(AnalyticsError):
    """A table of the lake cannot be written as asked."""


class GateFailed(AnalyticsError):
    """A gate stopped one tenant's data at a door."""


class StackError(AnalyticsError):
    """A service of the local stack cannot be started, reached or stopped."""


class WarehouseError(AnalyticsError):
    """The warehouse refused a login, a load or a publication."""


class TrainingError(AnalyticsError):
    """Training or scoring cannot go on, and why."""
