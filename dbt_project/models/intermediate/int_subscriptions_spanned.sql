with

events as (

    select * from {{ ref('stg_billing__subscription_events') }}

),

listeners as (

    select * from {{ ref('stg_crm__listeners') }}

),

events_in_order as (

    select
        *,
        lead(occurred_at) over listener_events as next_occurred_at,
        row_number() over listener_events as event_number
    from events
    window
        listener_events as (
            partition by tenant_id, listener_id
            order by occurred_at, event_id
        )

),

spans_opened_by_events as (

    select
        tenant_id,
        listener_id,
        case
            when kind = 'cancel' and plan_to <> 'free' then null
            else plan_to
        end as plan,
        kind as opened_by,
        false as is_inferred,
        occurred_at as valid_from,
        next_occurred_at as valid_to
    from events_in_order

),

-- The first event may tell of a plan whose begin nobody recorded.
spans_before_first_event as (

    select
        events_in_order.tenant_id,
        events_in_order.listener_id,
        events_in_order.plan_from as plan,
        cast(null as text) as opened_by,
        true as is_inferred,
        listeners.signed_up_at as valid_from,
        events_in_order.occurred_at as valid_to
    from events_in_order
    inner join listeners
        on events_in_order.tenant_id = listeners.tenant_id
        and events_in_order.listener_id = listeners.listener_id
    where events_in_order.event_number = 1

),

spans as (

    select * from spans_opened_by_events
    union all
    select * from spans_before_first_event

),

spans_with_a_plan as (

    select * from spans
    where
        plan is not null
        and valid_from < coalesce(valid_to, 'infinity')

)

select * from spans_with_a_plan
