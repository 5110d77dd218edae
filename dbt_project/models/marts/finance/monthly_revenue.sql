with

payments as (

    select * from {{ ref('fct_payments') }}

),

revenue_by_month as (

    select
        ---------- ids
        tenant_id,

        ---------- text
        currency,

        ---------- dates
        month_date,

        ---------- numerics
        count(*) filter (where kind = 'charge') as charges,
        count(*) filter (where kind = 'refund') as refunds,
        count(distinct listener_id) filter (where kind = 'charge') as payers,
        cast(
            coalesce(sum(amount_minor) filter (where kind = 'charge'), 0)
            as bigint
        ) as charged_minor,
        cast(
            coalesce(sum(amount_minor) filter (where kind = 'refund'), 0)
            as bigint
        ) as refunded_minor,
        cast(coalesce(sum(signed_amount_minor), 0) as bigint) as net_minor

    from payments

    group by tenant_id, currency, month_date

)

select * from revenue_by_month
