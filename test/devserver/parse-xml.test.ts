import assert from 'node:assert/strict'
import { test } from 'node:test'
import { childrenOf, childText, parseXml } from '../../src/devserver/parse-xml.ts'
import { writeXml } from '../../src/devserver/write-xml.ts'

test('a document is read as it was written, whatever its text', () => {
  const names = ['plain', ' a  b ', '<&>"\'', 'ü\u{1f4be}', 'line\nbreak\u0001']
  const source = writeXml('Delete', { Object: names.map((Key) => ({ Key })), Quiet: true }).toString()
  const document = parseXml(source, 'Delete')
  assert.deepEqual(
    childrenOf(document, 'Object').map((object) => childText(object, 'Key')),
    names,
  )
  assert.equal(childText(document, 'Quiet'), 'true')
})

test('prefixes of namespaces, attributes, comments and numeric entities are understood', () => {
  const source = `<?xml version="1.0"?><!-- x --><s3:Delete xmlns:s3='urn:x'><s3:Object a="1"><s3:Key>&#65;&#x42;</s3:Key></s3:Object></s3:Delete>\n`
  const [object] = childrenOf(parseXml(source, 'Delete'), 'Object')
  assert.equal(object && childText(object, 'Key'), 'AB')
})

test('what is no document that S3 takes is refused', () => {
  const wrong = [
    '',
    'text',
    '<Other/>',
    '<Delete>',
    '<Delete></Delete><Delete/>',
    '<Delete></Object></Delete>',
    '<Delete>&nbsp;</Delete>',
    '<Delete>& </Delete>',
    '<!DOCTYPE x [<!ENTITY a "b">]><Delete/>',
    '<Delete><![CDATA[x]]></Delete>',
    `${'<Delete>'.repeat(20)}${'</Delete>'.repeat(20)}`,
  ]
  for (const source of wrong)
    assert.throws(() => parseXml(source, 'Delete'), { code: 'MalformedXML' }, source)
})
