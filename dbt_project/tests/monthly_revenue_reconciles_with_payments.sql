-- Revenue is every loaded payment, once: counted from staging, past the mart
-- that revenue is made from.
with

payments as (

    select
        tenant_id,
        currency,
        sum(
            case kind
                when 'charge' then amount_minor
                when 'refund' then -amount_minor
            end
        ) as net_minor
    from {{ ref('stg_billing__payments') }}
    group by tenant_id, currency

),

revenue as (

    select
        tenant_id,
        currency,
        sum(net_minor) as net_minor
    from {{ ref('monthly_revenue') }}
    group by tenant_id, currency

)

select
    coalesce(payments.tenant_id, revenue.tenant_id) as tenant_id,
    coalesce(payments.currency, revenue.currency) as currency,
    payments.net_minor as paid_minor,
    revenue.net_minor as revenue_minor
from payments
full outer join revenue
    on payments.tenant_id = revenue.tenant_id
    and payments.currency = revenue.currency
where payments.net_minor is distinct from revenue.net_minor
