"""What each reason of an error means to a Chinese reader, and what to do; the gateway's own text is English.

One sentence a reason of `ErrorReason`, by its name in google.rpc.ErrorInfo. A test walks them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REASONS_ZH: Final[Mapping[str, str]] = {
    "INVALID_IDENTIFIER": "统一社会信用代码不正确，请核对有无录入错误。",
    "INVALID_REQUEST": "请求中有字段不符合规则，请按所列字段修改。",
    "UNKNOWN_CATEGORY": "没有这一类目；全部类目见 CatalogueService.DescribeCatalogue。",
    "UNKNOWN_PLATFORM": "该平台未在本网关配置，或必需平台不在查询之列；见 xinyidai platforms。",
    "UNKNOWN_PURPOSE": "未说明查询用途，或没有这一用途。",
    "QUORUM_TOO_LARGE": "要求应答的平台数多于所查询的平台数。",
    "DEADLINE_TOO_SHORT": "时限已过或过短，未查询任何平台；请延长时限。",
    "CANCELLED": "调用方已取消查询。",
    "NOT_PERMITTED": "所查内容均未获准，未查询任何平台。",
    "ENTERPRISE_NOT_FOUND": "各平台均已应答，均无该企业；请核对代码。",
    "NO_PLATFORM_HEARD": "没有一个平台应答；请按提示时间重试，这不等于没有记录。",
    "REQUIRED_PLATFORM_MISSING": "必需的平台未应答，原因见各平台结果。",
    "QUORUM_MISSED": "应答的平台少于要求的个数，原因见各平台结果。",
    "REQUEST_ID_REUSED": "该请求标识在 24 小时内已用于另一请求；请换用新标识。",
    "TRAIL_UNAVAILABLE": "留痕无法写入，因此不予应答；请稍后重试并告知运维。",
    "OVERLOADED": "网关繁忙或正在关闭；请按提示时间重试。",
    "INTERNAL": "网关自身故障；请向运维提供追踪号。",
    "VIEW_TOO_LARGE": "视图超过单条消息上限；请减少每次查询的类目。",
    "CONSENT_MISSING": "所给授权不覆盖所查内容，或未给出授权；请登记企业授权并给出其标识。",
    "CONSENT_PURPOSE": "所给授权用于其他用途，不适用于本次查询。",
    "CONSENT_PAUSED": "所给授权已暂停；恢复后方可查询。",
    "CONSENT_EXPIRED": "所给授权尚未生效或已到期；请取得新的授权。",
    "CONSENT_EXHAUSTED": "所给授权的使用次数已用尽；请取得新的授权。",
    "CONSENT_REVOKED": "所给授权已被撤销；请取得新的授权。",
    "CONSENT_REPEATED": "同一授权重复给出；请只保留一次。",
    "PURPOSE_NOT_ALLOWED": "无论是否授权，该用途均不得查询所列类目。",
    "CONSENT_NOT_FOUND": "本行没有这一授权。",
    "CONSENT_STATE_FORBIDS": "授权的当前状态不允许此项变更。",
    "CONSENT_CHANGED": "授权在此期间已变更；请重新读取后再决定。",
    "STORE_UNAVAILABLE": "授权存储暂不可用；请稍后重试。",
    "POLICY_DENIED": "该调用方的角色无此权限，与请求内容无关；请联系网关运维。",
    "CALLER_UNKNOWN": "网关不认识所出示的证书。",
    "CALLER_MISMATCH": "令牌、银行、经办人或分支机构与证书不符。",
    "TOKEN_INVALID": "令牌缺失、格式不正确、受众不符或缺少必要声明；请重新获取令牌。",
    "TOKEN_SIGNATURE_INVALID": "令牌签名无效，或未采用 ES256、RS256。",
    "TOKEN_EXPIRED": "令牌已过期；请重新获取令牌。",
    "TOKEN_NOT_YET_VALID": "令牌尚未生效；请检查时钟。",
    "TOKEN_REPLAYED": "令牌已被使用过；请重新获取令牌。",
    "IDENTITY_UNAVAILABLE": "暂时无法核验令牌；请稍后重试。",
    "ANSWER_NOT_FOUND": "本行没有这一归档应答，或无权查看。",
    "LIST_UNKNOWN": "没有该代码的名单；见 xinyidai lists show。",
    "ENTRY_NOT_FOUND": "没有这一名单条目。",
    "ENTRY_STATE_FORBIDS": "条目的当前状态或法定最短公示期不允许此项变更。",
    "ENTRY_CHANGED": "条目在此期间已变更；请重新读取后再决定。",
    "SELF_CONFIRMATION": "提出变更者不得自行确认，须由第二人确认。",
    "LIST_FILE_REFUSED": "名单文件未被接受，未作任何变更；请按所列各行修改。",
    "RESUME_TOKEN_REFUSED": "续传标记不属于本行、本次订阅或本网关；请从头开始订阅。",
    "REPAIR_NOT_FOUND": "没有这一信用修复。",
    "REPAIR_STATE_FORBIDS": "修复的当前状态或法定最短公示期不允许此步骤。",
    "REPAIR_CHANGED": "修复在此期间已变更；请重新读取后再决定。",
}
