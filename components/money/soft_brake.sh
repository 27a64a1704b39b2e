# Which of the manifests beside this file holds now: `on`, `off`, `released` or `unknown`. The next container applies
# what is copied to $WANTED.
#
# Whether the budget is in alarm says AWS itself: no sum is made here. What AWS does not say takes the brake off: a job
# that may not ask, or cannot, must not keep GPUs from people. The brake at 100 % is AWS' own and stays.
set -eu

if [ "${RELEASED_IN:-}" = "$(date -u +%Y-%m)" ]; then
  wanted=released
else
  query="Notifications[?NotificationType=='ACTUAL' && ThresholdType=='PERCENTAGE' && Threshold==\`$PERCENT\`]"
  state=$(aws budgets describe-notifications-for-budget --account-id "$ACCOUNT_ID" --budget-name "$BUDGET_NAME" \
    --query "$query | [0].NotificationState" --output text) || state=unknown
  case "$state" in
    ALARM) wanted=on ;;
    OK) wanted=off ;;
    *) wanted=unknown ;;
  esac
fi

cp "$(dirname "$0")/$wanted.yaml" "$WANTED"
echo "$BUDGET_NAME at $PERCENT %: the brake is $wanted"
