"""The words of the mails that pages send. Knows no account but its name."""

from pronto.accounts.mail import Letter


def confirm(to: str, link: str) -> Letter:
    return Letter(
        to,
        "Join Pronto",
        f"Hello,\n\nyou asked for an account. This link makes it; it works once, for 7 days:\n\n{link}\n\n"
        "If it was not you, please do nothing: nothing happens.\n",
    )


def known_already(to: str, link: str, name: str) -> Letter:
    return Letter(
        to,
        "You have an account already",
        f"Hello,\n\nsomebody, perhaps you, asked for a new account with this address. You have one already: {name}.\n"
        f"If you do not know its password any more, this link sets a new one; it works once, for an hour:\n\n{link}\n\n"
        "If it was not you, please do nothing: nothing happens.\n",
    )


def new_password(to: str, link: str, name: str) -> Letter:
    return Letter(
        to,
        "A new password",
        f"Hello {name},\n\nthis link sets a new password for your account; it works once, for an hour:\n\n{link}\n\n"
        "If you did not ask for it, please do nothing: your password stays as it is.\n",
    )


def invitation(to: str, link: str, by: str, org: str | None) -> Letter:
    where = f"the organisation {org} on this server" if org else "this server"
    return Letter(
        to,
        f"{by} invites you" + (f" to {org}" if org else ""),
        f"Hello,\n\n{by} invites you to {where}. This link lets you in; it works once, for 7 days:\n\n{link}\n\n"
        "If you do not know what this is about, please do nothing: nothing happens.\n",
    )
