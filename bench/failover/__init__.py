"""What failures cost those who are being answered: timed try after try, and compared with an undisturbed run."""
