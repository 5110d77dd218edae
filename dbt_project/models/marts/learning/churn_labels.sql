-- The churn rule, declared here and nowhere else: of the listeners who paid
-- just before `as_of_date`, those who cancel or fall back to the free plan
-- within the horizon that begins with it. No row before the horizon is over.
{% set horizon_days = var('churn_horizon_days') %}

with

subscriptions as (

    select * from {{ ref('fct_subscriptions') }}

),

subscription_events as (

    select * from {{ ref('stg_billing__subscription_events') }}

),

daily_listening as (

    select * from {{ ref('daily_listening') }}

),

histories as (

    select
        tenant_id,
        min(listening_date) as begins_on,
        max(listening_date) + 1 as ends_on
    from daily_listening
    group by tenant_id

),

mondays as (

    select
        histories.tenant_id,
        cast(mondays.monday as date) as as_of_date,
        mondays.monday at time zone 'UTC' as as_of
    from histories
    cross join lateral generate_series(
        date_trunc('week', cast(histories.begins_on + 6 as timestamp)),
        cast(histories.ends_on - {{ horizon_days }} as timestamp),
        interval '7 days'
    ) as mondays (monday)

),

-- A span inferred from its own end is known only of those who left.
population as (

    select
        mondays.tenant_id,
        subscriptions.listener_id,
        mondays.as_of_date,
        mondays.as_of
    from mondays
    inner join subscriptions
        on mondays.tenant_id = subscriptions.tenant_id
        and mondays.as_of > subscriptions.valid_from
        and mondays.as_of <= coalesce(subscriptions.valid_to, 'infinity')
    where
        subscriptions.is_paid
        and not subscriptions.is_inferred

),

churn_events as (

    select * from subscription_events
    where
        kind = 'cancel'
        or (kind = 'downgrade' and plan_to = 'free')

),

labelled as (

    select
        ---------- ids
        population.tenant_id,
        population.listener_id,

        ---------- dates
        population.as_of_date,

        ---------- booleans
        count(churn_events.occurred_at) > 0 as is_churned,

        ---------- timestamps
        min(churn_events.occurred_at) as churned_at

    from population

    left join churn_events
        on population.tenant_id = churn_events.tenant_id
        and population.listener_id = churn_events.listener_id
        and population.as_of <= churn_events.occurred_at
        and churn_events.occurred_at
        < population.as_of + {{ horizon_days }} * interval '24 hours'

    group by
        population.tenant_id,
        population.listener_id,
        population.as_of_date

)

select * from labelled
