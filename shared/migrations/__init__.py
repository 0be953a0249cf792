"""The tables' revisions. `shared.sql.Database.migrate` runs them; what the tables are now is in the modules that
use them (shared/accounts.py, shared/ledger.py)."""
