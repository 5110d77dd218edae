with

spans as (

    select * from {{ ref('int_subscriptions_spanned') }}

),

spans_keyed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('listener_id') }} || ':' || to_char(
            valid_from at time zone 'UTC', 'YYYYMMDD"T"HH24MISS.US'
        ) as subscription_key,
        listener_id,

        ---------- text
        plan,
        opened_by,

        ---------- booleans
        plan in ('premium', 'family') as is_paid,
        valid_to is null as is_current,
        is_inferred,

        ---------- timestamps
        valid_from,
        valid_to

    from spans

)

select * from spans_keyed
