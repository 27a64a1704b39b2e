"""Prices that AWS asks today: asked, judged against what is known, and written where the plan reads them."""
