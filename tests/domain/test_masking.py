"""Masks of what is about persons, wherever in a view it could show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, options_pb2, registration_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_HOLDER, CATEGORY_PENALTY, CATEGORY_REGISTRATION
from gateway.domain import masking
from gateway.domain.catalogue import CATALOGUE, CatalogueError, compile_catalogue
from gateway.domain.consent import Permit
from gateway.domain.masking import Masker, Told
from gateway.domain.masks import MASKS
from gateway.domain.statement import sm3
from gateway.domain.type_masks import masked_fields
from gateway.domain.wire import tag_of, varint
from tests.domain.worlds import USCC

MASKER = Masker(CATALOGUE, b"a key of this deployment")
_REGISTRATIONS = varint(tag_of(view_pb2.Records.DESCRIPTOR.fields_by_name["registrations"]))
MASKED = Permit("consent", tuple(sorted(CATALOGUE.by_category)), is_masked=True)


def view() -> view_pb2.CreditView:
    found = view_pb2.CreditView()
    found.query.uscc = USCC.value
    return found


def test_every_field_about_a_persons_name_is_masked_and_every_mask_has_its_rule() -> None:
    personal = {
        (plan.category, field.name)
        for plan in CATALOGUE.plans
        for field in plan.fields
        if field.options.personal and field.options.data_class == options_pb2.DATA_CLASS_C2
    }

    masked = {(category, field) for category, fields in masked_fields(CATALOGUE).items() for field in fields}

    assert personal <= masked
    assert set(MASKS) == set(options_pb2.Mask.values()) - {0}


def test_every_value_of_a_conflict_is_masked_lists_too() -> None:
    found = view()
    record = found.records.registrations.add(legal_representative="张三")
    conflict = record.envelope.conflicts.add(field="legal_representative")
    for name in ("张三", "李四"):
        conflict.values.add().value.text = name
    other = record.envelope.conflicts.add(field="address")
    other.values.add().value.text = "上海市"
    entry = found.records.list_entries.add(related_persons=["王五六", "赵七"])
    entry.envelope.conflicts.add(field="related_persons").values.add().value.text = "王五六,赵七"

    assert MASKER.mask(found, MASKED)

    assert record.legal_representative == "张*"
    shown, others = record.envelope.conflicts
    assert [v.value.text for v in shown.values] == ["张*", "李*"]
    assert others.values[0].value.text == "上海市"
    assert list(entry.related_persons) == ["王**", "赵*"]
    assert entry.envelope.conflicts[0].values[0].value.text == "王**,赵*"


def test_drift_notes_of_records_and_platforms_are_masked_in_every_type() -> None:
    found = view()
    found.answers.add().drifts.add(path="p", reason="r", raw="13812345678")
    found.records.licences.add().envelope.drifts.add(path="p", reason="date.unreadable", raw="310101199001011234")
    found.records.registrations.add().envelope.drifts.add(path="p", reason="r", raw="电话13812345678")

    assert MASKER.mask(found, MASKED)

    text = str(found)
    assert "1381234" not in text
    assert "19900101" not in text


def test_a_name_that_is_masked_in_its_field_is_not_told_by_a_note_on_another() -> None:
    found = view()
    found.records.registrations.add(legal_representative="张三")
    found.records.penalties.add().envelope.drifts.add(path="p", reason="code.unmapped", raw="对张三予以警告")
    found.records.honours.add().envelope.drifts.add(path="p", reason="code.unmapped", raw="张 三")

    assert MASKER.mask(found, MASKED)

    assert found.records.penalties[0].envelope.drifts[0].raw == "对张*予以警告"
    assert found.records.honours[0].envelope.drifts[0].raw == "张*"


@pytest.mark.parametrize("written", ["阿卜杜拉•买买提", "阿卜杜拉 · 买买提", "阿卜杜拉．买买提"])
def test_no_other_dot_between_the_parts_of_a_name_shows_it(written: str) -> None:
    found = view()
    found.records.registrations.add(legal_representative="阿卜杜拉·买买提")
    found.records.penalties.add(facts=f"查{written}")

    MASKER.mask(found, MASKED)

    assert found.records.penalties[0].facts == "查阿***"


def test_no_digest_in_the_view_can_be_compared_with_that_of_a_guessed_name() -> None:
    found = view()
    record = found.records.holders.add(holder_name="张三")
    digest, key = sm3(b"statement with the name"), sm3(b"key with the name")[:16]
    record.envelope.provenances.add(platform="a", digest=digest, platform_record_key="H-张三")
    record.envelope.record_key = key
    twin = found.records.holders.add(holder_name="上海启辰科技有限公司")
    twin.envelope.possible_duplicate_of.append(key)

    MASKER.mask(found, MASKED)

    assert record.envelope.provenances[0].digest == MASKER.digest(digest)
    assert record.envelope.provenances[0].platform_record_key == ""
    assert record.envelope.record_key == MASKER.digest(key)[:16]
    assert list(twin.envelope.possible_duplicate_of) == [record.envelope.record_key]
    assert Masker(CATALOGUE, b"another key of another").digest(digest) != MASKER.digest(digest)


@pytest.mark.parametrize("own_key", ["", "\x12 " + "x" * 32, "\x1a " + "x" * 32])
def test_a_digest_that_no_statement_is_known_by_is_keyed_all_the_same(own_key: str) -> None:
    record = registration_pb2.Registration(legal_representative="张三")
    digest = sm3(b"statement with the name")
    record.envelope.provenances.add(platform="a", digest=digest, platform_record_key=own_key)
    entries = [_REGISTRATIONS, b"", record.SerializeToString(deterministic=True)]

    MASKER.mask_entries(entries, Told(lambda _: set(), may_drift=False), USCC.value, frozenset())

    shown = registration_pb2.Registration.FromString(entries[2])
    assert shown.legal_representative == "张*"
    assert shown.envelope.provenances[0].digest == MASKER.digest(digest)
    assert shown.envelope.provenances[0].platform_record_key == own_key


def test_hmac_is_that_of_the_standard_whatever_the_keys_length() -> None:
    import hmac

    for key in (b"k" * 16, b"k" * 64, b"k" * 65):
        assert Masker(CATALOGUE, key).digest(b"content") == hmac.digest(key, b"content", "sm3")


def test_a_persons_consent_lifts_the_mask_from_that_person_in_that_category_only() -> None:
    found = view()
    for name in ("张三", "李四"):
        found.records.holders.add(holder_name=name)
    found.records.registrations.add(legal_representative="张三")
    persons = frozenset({(CATEGORY_HOLDER, MASKER.person(USCC.value, "张　三"))})

    MASKER.mask(found, replace(MASKED, persons=persons))

    assert [r.holder_name for r in found.records.holders] == ["张三", "李*"]
    assert found.records.registrations[0].legal_representative == "张*"


@settings(max_examples=150)
@given(
    st.lists(st.text("张三李四王欧阳娜甲乙丙", min_size=2, max_size=4), min_size=1, max_size=4, unique=True),
    st.sampled_from(["310101199001011234", "310101900101123", "13812345678"]),
    st.sampled_from(["", " ", "\u3000"]),
    st.booleans(),
    st.data(),
)
def test_no_planted_name_or_number_is_left_in_a_free_text_unless_its_bearer_consented(
    names: list[str], number: str, blank: str, is_in_conflict: bool, data: st.DataObject
) -> None:
    found = view()
    found.records.registrations.add(legal_representative=names[0])
    for name in names[1:]:
        found.records.list_entries.add(related_persons=[name])
    text = "。".join(f"查当事人「{blank.join(name)}」持{number}" for name in names)
    penalty = found.records.penalties.add(facts=text)
    penalty.envelope.provenances.add(platform="a", digest=sm3(text.encode()))
    penalty.envelope.conflicts.add(field="facts").values.add().value.text = text
    if is_in_conflict:
        found.records.registrations[0].legal_representative = ""
        conflict = found.records.registrations[0].envelope.conflicts.add(field="legal_representative")
        conflict.values.add().value.text = names[0]
    lifted = data.draw(st.sampled_from(["", *names]))
    persons = frozenset({(CATEGORY_PENALTY, MASKER.person(USCC.value, lifted))} if lifted else ())

    MASKER.mask(found, replace(MASKED, persons=persons))

    for shown in (penalty.facts, penalty.envelope.conflicts[0].values[0].value.text):
        assert number not in shown
        left = [name for name in names if f"「{blank.join(name)}」" in shown]
        assert set(left) <= {lifted}
        if all(name == lifted or name not in lifted for name in names):
            assert left == [name for name in names if name == lifted]
    assert penalty.envelope.provenances[0].digest == MASKER.digest(sm3(text.encode()))


@pytest.mark.parametrize(
    ("records", "field"),
    [
        ("licences", "content"),
        ("penalties", "violation_type"),
        ("penalties", "facts"),
        ("penalties", "basis"),
        ("penalties", "kinds_raw"),
        ("penalties", "licence_action"),
        ("penalties", "content"),
        ("list_entries", "reason"),
        ("list_entries", "removal_reason"),
        ("abnormal_operations", "reason"),
        ("abnormal_operations", "removal_reason"),
    ],
)
def test_every_free_text_is_masked(records: str, field: str) -> None:
    found = view()
    found.records.holders.add(holder_name="王五六")
    record = getattr(found.records, records).add()
    setattr(record, field, "查王五六（310101199001011234）电话13812345678")

    MASKER.mask(found, MASKED)

    assert getattr(record, field) == "查王**（310***********1234）电话138****5678"


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("张三丰", "查张\u200b三丰违法", "查张**违法"),
        ("张\u200b三丰", "查张三丰违法，张\u2060三\u3000丰认错", "查张**违法，张**认错"),
        ("买买提·艾力", "查买买提\u2022艾力违法", "查买***违法"),
        ("ＬＩＮ Ｗｅｉ", "查Lin Wei及LIN Wei违法", "查Lin Wei及L***违法"),
        ("林\u2f0d", "查林\u5196", "查林*"),
        ("\u00c9 Lu", "查E\u0301Lu违法", "查\u00c9**违法"),
    ],
)
def test_a_name_that_reads_alike_is_masked_in_a_free_text_however_it_is_encoded(
    name: str, text: str, shown: str
) -> None:
    found = view()
    found.records.holders.add(holder_name=name)
    penalty = found.records.penalties.add(facts=text)

    MASKER.mask(found, MASKED)

    assert penalty.facts == shown


def test_organisations_stay_in_a_free_text_and_so_does_every_word_of_a_view_that_names_nobody() -> None:
    found = view()
    found.records.holders.add(holder_name="上海启辰科技有限公司")
    found.records.penalties.add(facts="上海启辰科技有限公司与张三超标排放")

    MASKER.mask(found, MASKED)

    assert found.records.penalties[0].facts == "上海启辰科技有限公司与张三超标排放"


def test_a_person_of_another_enterprise_is_another_reference() -> None:
    assert MASKER.person(USCC.value, "张三") != MASKER.person("91310115MAC0DEM080", "张三")


def test_a_development_permit_and_a_view_about_nobody_stay_as_they_are() -> None:
    found = view()
    record = found.records.registrations.add(legal_representative="张三")
    record.envelope.provenances.add(platform="a", digest=b"d" * 32)
    nobody = view()
    nobody.records.qualifications.add(certificate_number="沪许〔2026〕1号").envelope.provenances.add(
        platform="a", digest=b"d" * 32
    )
    before = nobody.SerializeToString()

    assert not MASKER.mask(found, Permit("development", (CATEGORY_REGISTRATION,)))
    assert not MASKER.mask(nobody, MASKED)

    assert record.legal_representative == "张三"
    assert nobody.SerializeToString() == before


def test_a_raw_sibling_is_masked_like_its_field() -> None:
    fields = masked_fields(CATALOGUE)[CATEGORY_HOLDER]

    assert fields == ("holder_name",)  # none of today's has one; the rule below is what a new field would meet
    plan = next(p for p in CATALOGUE.plans if p.category == CATEGORY_HOLDER)
    kind_as_name = options_pb2.FieldOptions(title_zh="股东类型", mask=options_pb2.MASK_NAME)
    changed = replace(
        plan,
        fields=tuple(replace(f, options=kind_as_name) if f.name == "holder_kind" else f for f in plan.fields),
    )
    catalogue = replace(CATALOGUE, plans=(changed,))
    found = view()
    found.records.holders.add(holder_kind_raw="张三", holder_kind=registration_pb2.HOLDER_KIND_UNMAPPED)

    Masker(catalogue, b"a key of this deployment").mask(found, MASKED)

    assert found.records.holders[0].holder_kind_raw == "张*"


def test_a_record_type_with_a_field_of_class_c3_does_not_compile() -> None:
    file = descriptor_pb2.FileDescriptorProto()
    registration_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "c3.proto", "c3"
    holder = next(m for m in file.message_type if m.name == "Holder")
    secret = holder.field.add(name="card_secret", number=50, type=9, label=1)
    secret.options.Extensions[options_pb2.field].title_zh = "卡片验证码"
    secret.options.Extensions[options_pb2.field].data_class = options_pb2.DATA_CLASS_C3
    listed = file.message_type.add(name="Records")
    listed.field.add(name="holders", number=1, type=11, label=3, type_name=".c3.Holder")
    file.dependency.append(registration_pb2.DESCRIPTOR.name)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())

    with pytest.raises(CatalogueError, match="card_secret: data of class C3 is never stored nor returned"):
        compile_catalogue(pool.FindMessageTypeByName("c3.Records"))


def test_a_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Masker(CATALOGUE, b"short")


def test_the_envelope_of_a_platforms_own_answer_in_a_stream_is_masked_too() -> None:
    said = view_pb2.Answer(platform="a")
    record = said.records.holders.add(holder_name="张三")
    record.envelope.provenances.add(platform="a", match_method=envelope_pb2.MATCH_METHOD_CODE)
    said.drifts.add(path="p", reason="r", raw="13812345678")

    MASKER.mask_answer(said, USCC.value, MASKED)

    assert record.holder_name == "张*"
    assert said.drifts[0].raw == "138****5678"


def test_a_text_beside_more_names_than_can_be_looked_for_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = view()
    found.records.list_entries.add(related_persons=["王五六", "赵七"])
    texts = [found.records.penalties.add(facts=facts) for facts in ("查明王五六违法", "无人具名")]
    texts[0].envelope.conflicts.add(field="facts").values.add().value.text = "查明赵七违法"
    monkeypatch.setattr(masking, "_MOST_LOOKED_THROUGH", 10)

    assert MASKER.mask(found, MASKED)

    assert [record.facts for record in texts] == ["****", "****"]
    assert texts[0].envelope.conflicts[0].values[0].value.text == "****"


def test_names_and_texts_by_the_thousand_hold_up_nobody() -> None:
    found = view()
    for number in range(1_000):
        found.records.list_entries.add(related_persons=[f"人{number:05}甲{place}" for place in range(20)])
        found.records.penalties.add(document_number=str(number), facts="查明有关违法事实" * 10)

    MASKER.mask(found, MASKED)

    assert {record.facts for record in found.records.penalties} == {"****"}
